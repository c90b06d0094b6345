"""Labels of long-range tracks: where they begin, how the teacher is asked, what is kept."""
