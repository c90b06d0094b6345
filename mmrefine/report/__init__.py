"""The report of a run: its record, headlines, plots and page."""
from mmrefine.report.files import read_report, write_report
from mmrefine.report.formats import counted, format_value, kept_back
from mmrefine.report.headlines import figures, headline, keeps_original, teachers_ahead
from mmrefine.report.known_figures import figures_of
from mmrefine.report.pair_changes import PairChange, change_interval, changes_record, most_changed, pair_changes
from mmrefine.report.record import group_record, thin_curve
from mmrefine.report.rounds import round_line
from mmrefine.report.text_tables import benchmark_table, format_table, score_table, summary_table

__all__ = [
    'PairChange', 'benchmark_table', 'change_interval', 'changes_record', 'counted', 'figures', 'figures_of',
    'format_table', 'format_value', 'group_record', 'headline', 'keeps_original', 'kept_back', 'most_changed',
    'pair_changes', 'read_report', 'round_line', 'score_table', 'summary_table', 'teachers_ahead', 'thin_curve',
    'write_report'
]
