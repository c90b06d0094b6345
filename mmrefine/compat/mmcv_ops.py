"""The operators of ``mmcv.ops`` that flow networks use, in plain PyTorch (F7).

They compute what the compiled operators of mmcv compute, on any device and in float64, so that every stock network of
mmflow builds and runs beside ``mmcv-lite``.  Same constructors, same parameter names: state dicts are interchangeable.
"""
from mmrefine.compat.mmcv_correlation import Correlation, correlation
from mmrefine.compat.mmcv_deform_conv import DeformConv2d, deform_conv2d

__all__ = ['Correlation', 'DeformConv2d', 'correlation', 'deform_conv2d']
