"""One module per implementation. `torch_run` and `jax_run` hold what every library of that framework shares; a
third party's adapter may use them too."""
