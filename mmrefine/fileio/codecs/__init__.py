"""Labels as bytes, and back: one codec for each kind of label."""
from mmrefine.fileio.codecs.kinds import FIRST_KIND, codec_of, register_codec

__all__ = ['FIRST_KIND', 'codec_of', 'register_codec']
