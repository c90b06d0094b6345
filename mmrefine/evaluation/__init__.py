"""Is it better than before? Errors and scores, with ground truth or without."""
from mmrefine.evaluation.flow.errors import FlowTally, tally_flow
from mmrefine.evaluation.joints.pck import carry_points, pck, pck_threshold
from mmrefine.evaluation.labels.quality import quality_record, speed_stats, stored_cycle_error, tally_label, tally_truth
from mmrefine.evaluation.labels.verdict import verdict, verdict_lines
from mmrefine.evaluation.masks.scores import boundary_f, carry_mask, jaccard, summarise
from mmrefine.evaluation.metrics import FlowMetric, KeypointMetric, MaskMetric

__all__ = [
    'FlowMetric', 'FlowTally', 'KeypointMetric', 'MaskMetric', 'boundary_f', 'carry_mask', 'carry_points', 'jaccard',
    'pck', 'pck_threshold', 'quality_record', 'speed_stats', 'stored_cycle_error', 'summarise', 'tally_flow',
    'tally_label', 'tally_truth', 'verdict', 'verdict_lines'
]
