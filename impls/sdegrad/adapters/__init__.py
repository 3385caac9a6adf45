"""One module per implementation. `torch_run`, `jax_run` and `numpy_run` hold what every library of that framework
shares; a third party's adapter may use them too."""
