"""Is it better than before? Metrics, scores without truth, and the report."""
from .judge import FlowTally, flow_errors, pool_by_scene, tally_flow
from .label_free import LabelFreeScores, label_free_tallies
from .masks import boundary_f, carry_mask, jaccard, summarise
from .metrics import FlowMetric
from .record import group_record, headline
from .report import write_report
from .summary import read_report, score_table, summary_table
from .table import format_table

__all__ = [
    'FlowMetric', 'FlowTally', 'LabelFreeScores', 'boundary_f', 'carry_mask', 'flow_errors', 'format_table', 'group_record', 'headline',
    'jaccard', 'label_free_tallies', 'pool_by_scene', 'read_report', 'score_table', 'summarise', 'summary_table', 'tally_flow',
    'write_report'
]
