from sdegrad.torch.base_sde import BaseSDE, SDEIto, SDEStratonovich

__all__ = ["BaseSDE", "SDEIto", "SDEStratonovich"]
