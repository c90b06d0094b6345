from mmrefine.compat.stand_ins import install_stand_ins, quiet_known_warnings

__all__ = ['setup_environment']


def setup_environment() -> None:
    install_stand_ins()
    quiet_known_warnings()
