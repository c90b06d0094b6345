"""mmrefine: self-training for motion models, on MMEngine and MMFlow."""
from mmrefine.compat import setup_environment

__all__ = ['__version__']

__version__ = '0.1.0'

setup_environment()
