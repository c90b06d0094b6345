"""``python -m mmrefine``: the command, where it is not on the path."""
from mmrefine.cli import main

if __name__ == '__main__':
    main()
