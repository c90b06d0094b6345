"""Is it better than before? Metrics, scores without truth, and the report."""
from .benchmark import BenchmarkTally, judge_sample, tally_benchmark, tally_spring
from .guard_score import Witness, distance, loss_against, mean_witness, witness
from .guard_verdict import Comparison, compare
from .headlines import figures, headline
from .html_curves import thin_curve
from .judge import FlowTally, curve_weights, flow_angles, flow_errors, pool_by_scene, tally_flow
from .keypoints import (KeypointTally, carry_points, object_sizes, pck, pck_threshold,
                        tally_keypoints)
from .label_free import LabelFreeScores, label_free_tallies
from .label_quality import (LabelTally, add_truth, quality_record, speed_stats, stored_cycle_error,
                            tally_label, tally_truth)
from .label_verdict import verdict, verdict_lines
from .masks import MaskTally, boundary_f, carry_mask, jaccard, summarise, tally_masks
from .metrics import FlowMetric, KeypointMetric, MaskMetric
from .pair_changes import PairChange, change_interval, changes_record, most_changed, pair_changes
from .record import frame_pairs, group_record, kept_back
from .report import write_report
from .summary import benchmark_table, read_report, score_table, summary_table
from .table import format_table

__all__ = [
    'BenchmarkTally', 'Comparison', 'FlowMetric', 'FlowTally', 'KeypointMetric', 'KeypointTally', 'LabelFreeScores', 'LabelTally',
    'MaskMetric', 'MaskTally', 'PairChange', 'Witness', 'add_truth', 'benchmark_table', 'boundary_f', 'carry_mask', 'carry_points',
    'change_interval', 'changes_record', 'compare', 'curve_weights', 'distance', 'figures', 'flow_angles', 'flow_errors',
    'format_table', 'frame_pairs', 'group_record', 'headline', 'jaccard', 'judge_sample', 'kept_back', 'label_free_tallies',
    'loss_against', 'mean_witness',
    'most_changed', 'object_sizes', 'pair_changes', 'pck', 'pck_threshold', 'pool_by_scene', 'quality_record', 'read_report',
    'score_table', 'speed_stats', 'stored_cycle_error', 'summarise', 'summary_table', 'tally_benchmark', 'tally_flow',
    'tally_keypoints', 'tally_label', 'tally_masks', 'tally_spring', 'tally_truth', 'thin_curve', 'verdict', 'verdict_lines', 'witness',
    'write_report'
]
