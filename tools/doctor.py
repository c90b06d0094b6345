"""Check what is installed, what works, and how to repair what does not: ``python tools/doctor.py``."""
import sys

try:
    from mmrefine.compat.installation import diagnose, format_report
    from mmrefine.compat.threads import choose_threads
except ImportError as error:
    sys.exit(f'mmrefine cannot be imported ({error})\n     run: pip install -e .')


def main() -> int:
    """Print the report; 0 when nothing is wrong, else 1."""
    choose_threads()  # before torch is loaded
    checks = diagnose()
    print(format_report(checks))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == '__main__':
    sys.exit(main())
