"""``python -m mmrefine``: the command ``mmrefine``, for shells that do not find it."""
from mmrefine.cli import main

if __name__ == '__main__':
    main()
