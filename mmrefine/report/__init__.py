"""The report of a run: its record, headlines, plots and page."""
from mmrefine.report.headlines import figures, headline
from mmrefine.report.html_curves import thin_curve
from mmrefine.report.pair_changes import PairChange, change_interval, changes_record, most_changed, pair_changes
from mmrefine.report.record import counted, figures_of, group_record, kept_back
from mmrefine.report.summary import benchmark_table, read_report, score_table, summary_table
from mmrefine.report.table import format_table
from mmrefine.report.writer import write_report

__all__ = [
    'PairChange', 'benchmark_table', 'change_interval', 'changes_record', 'figures', 'figures_of', 'format_table', 'counted',
    'group_record', 'headline', 'kept_back', 'most_changed', 'pair_changes', 'read_report', 'score_table',
    'summary_table', 'thin_curve', 'write_report'
]
