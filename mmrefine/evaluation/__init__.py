"""Is it better than before? Errors and scores, with ground truth or without."""
from mmrefine.evaluation.flow.benchmark import judge_sample
from mmrefine.evaluation.flow.endpoint_error import FlowTally, check_finite, tally_flow
from mmrefine.evaluation.flow.label_free import LabelFreeTally, label_free_tallies
from mmrefine.evaluation.flow.witnesses import limited_error, pair_witnesses
from mmrefine.evaluation.guard.comparison import Comparison, compare, loss_against, mean_observation
from mmrefine.evaluation.joints.pck import KeypointTally
from mmrefine.evaluation.labels.quality import quality_record, speed_stats, tally_label, tally_truth
from mmrefine.evaluation.labels.sums import stored_cycle_error
from mmrefine.evaluation.labels.verdict import verdict, verdict_lines
from mmrefine.evaluation.masks.scores import MaskTally, boundary_f, jaccard, summarise
from mmrefine.evaluation.metrics import FlowMetric, KeypointMetric, MaskMetric, TallyMetric, TapVidMetric, TrackMetric
from mmrefine.evaluation.tallies import Judged, Result, Together
from mmrefine.evaluation.tracks.errors import tally_errors
from mmrefine.evaluation.tracks.label_free import LabelFreeTrackTally, tally_label_free_tracks
from mmrefine.evaluation.tracks.tally import TrackTally
from mmrefine.evaluation.tracks.tapvid import tally_tapvid
from mmrefine.structures.track_protocols import crohd_heads, draw_queries

__all__ = [
    'Comparison', 'FlowMetric', 'FlowTally', 'Judged', 'KeypointMetric', 'KeypointTally', 'LabelFreeTally',
    'LabelFreeTrackTally', 'MaskMetric', 'MaskTally', 'Result', 'TallyMetric', 'TapVidMetric', 'Together',
    'TrackMetric', 'TrackTally', 'boundary_f', 'check_finite', 'compare', 'crohd_heads',
    'draw_queries', 'jaccard', 'judge_sample', 'label_free_tallies', 'limited_error', 'loss_against',
    'mean_observation', 'pair_witnesses', 'quality_record', 'speed_stats', 'stored_cycle_error', 'summarise',
    'tally_errors', 'tally_flow', 'tally_label', 'tally_label_free_tracks', 'tally_tapvid', 'tally_truth',
    'verdict', 'verdict_lines'
]
