"""The ruler: how estimates are compared with references, everywhere in phasegan."""
