"""Is it better than before? Errors and scores, with ground truth or without."""
from mmrefine.evaluation.flow.benchmark import BenchmarkTally, judge_sample, tally_benchmark, tally_spring
from mmrefine.evaluation.flow.errors import (FlowTally, curve_weights, flow_angles, flow_errors, pool_by_scene,
                                             tally_flow)
from mmrefine.evaluation.flow.label_free import LabelFreeScores, label_free_tallies
from mmrefine.evaluation.guard.score import Witness, distance, loss_against, mean_witness, witness
from mmrefine.evaluation.guard.verdict import Comparison, compare
from mmrefine.evaluation.joints.pck import (KeypointTally, carry_points, object_sizes, pck, pck_threshold,
                                            tally_keypoints)
from mmrefine.evaluation.labels.quality import (LabelTally, add_truth, quality_record, speed_stats, stored_cycle_error,
                                                tally_label, tally_truth)
from mmrefine.evaluation.labels.verdict import verdict, verdict_lines
from mmrefine.evaluation.masks.scores import MaskTally, boundary_f, carry_mask, jaccard, summarise, tally_masks
from mmrefine.evaluation.metrics import FlowMetric, KeypointMetric, MaskMetric

__all__ = [
    'BenchmarkTally', 'Comparison', 'FlowMetric', 'FlowTally', 'KeypointMetric', 'KeypointTally', 'LabelFreeScores',
    'LabelTally', 'MaskMetric', 'MaskTally', 'Witness', 'add_truth', 'boundary_f', 'carry_mask', 'carry_points',
    'compare', 'curve_weights', 'distance', 'flow_angles', 'flow_errors', 'jaccard', 'judge_sample',
    'label_free_tallies', 'loss_against', 'mean_witness', 'object_sizes', 'pck', 'pck_threshold', 'pool_by_scene',
    'quality_record', 'speed_stats', 'stored_cycle_error', 'summarise', 'tally_benchmark', 'tally_flow',
    'tally_keypoints', 'tally_label', 'tally_masks', 'tally_spring', 'tally_truth', 'verdict', 'verdict_lines',
    'witness'
]
