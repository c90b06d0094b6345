"""The section of the report with the frame pairs that changed most, before and after under a slider."""
from __future__ import annotations

from html import escape
from typing import Any, Dict, Mapping

from mmrefine.report.headlines import VIDEOS
from mmrefine.report.html_parts import change_class, figure, image, legend
from mmrefine.report.record import change_percent, format_change, format_value, kind_of

KINDS = {'best': 'Best pairs', 'worst': 'Worst pairs'}
# what may be drawn of a pair beside the motion before and after: caption
TILES: Dict[str, str] = {
    'truth': 'true motion', 'labels': 'kept labels, the stronger the more they weigh', 'frame': 'frame 1'
}


def pairs_section(groups: Mapping[str, Any]) -> str:
    """For each group the best and the worst pairs; empty where no record says which they are."""
    return '\n'.join(part for part in (_group(str(name), group.get('changes') or {}) for name, group in groups.items()) if part)


def _group(name: str, changes: Mapping[str, Any]) -> str:
    if not changes.get('pairs'):
        return ''
    title = VIDEOS.get(name, name)
    parts = [f'<h3>{escape(title[:1].upper() + title[1:])}</h3>\n<p>{escape(_counts(changes))}</p>']
    for key, kind in KINDS.items():
        pairs = [pair for pair in changes.get(key) or [] if pair.get('flow_before') and pair.get('flow_after')]
        if pairs:
            parts.append(f'<h4>{kind}</h4>{_note(key, changes)}')
            parts += [_pair(pair, changes) for pair in pairs]
    return '\n'.join(parts)


def _counts(changes: Mapping[str, Any]) -> str:
    kind = kind_of(str(changes.get('metric')))
    better, worse, by = changes.get('better', 0), changes.get('worse', 0), changes.get('drawn_by', 'pair')
    score = ' '.join(reversed(kind.title.split(', ')))  # median cycle error
    text = (f'{better} of {changes["pairs"]} pairs have a lower {score} than before, {worse} a higher one; '
            f'decided by {changes.get("decided_by", "?")}.')
    if better == worse == 0:
        text += ' The network is the same as before on all of them.'
    if changes.get('interval_percent'):
        held = f'{100 * changes.get("confidence", 0):.0f}\u00a0% of {changes.get("draws", "?")} draws'
        text += f' The interval of the overall change holds {held} with replacement, by {by}.'
    return text


def _note(key: str, changes: Mapping[str, Any]) -> str:
    if key == 'worst' and changes.get('worse') == 0:
        return '<p>No pair got worse; these gained least.</p>'
    if key == 'best' and changes.get('better') == 0:
        return '<p>No pair got better; these lost least.</p>'
    return ''


def _pair(pair: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    name, kind = str(pair.get('key', '')), kind_of(str(changes.get('metric')))
    change = change_percent(pair.get('before'), pair.get('after'))
    moved = f'{kind.title} {format_value(pair.get("before"))} → {format_value(pair.get("after"))} {kind.unit}'
    said = f'<b>{escape(name)}</b>: {escape(moved)} (<span{change_class(change)}>{escape(format_change(change))}</span>)'
    tiles = [figure(pair[key], caption, f'{caption}, {name}') for key, caption in TILES.items() if pair.get(key)]
    cells = [_slider(pair, name), *tiles, _legend(pair, changes)]
    return f'<p>{said}</p>\n<div class="pair">\n' + '\n'.join(cell for cell in cells if cell) + '\n</div>'


def _slider(pair: Mapping[str, Any], name: str) -> str:
    before, after = (image(pair[f'flow_{side}'], f'motion {side}, {name}') for side in ('before', 'after'))
    return (f'<figure class="compare"><div class="stack"><div class="before">{before}<span>before</span></div><div class="after">{after}'
            '<span>after</span></div></div><input type="range" min="0" max="100" value="50" hidden '
            f'aria-label="{escape(f"motion before and after, {name}: how much of the width shows before")}">'
            '<figcaption>motion before and after</figcaption></figure>')


def _legend(pair: Mapping[str, Any], changes: Mapping[str, Any]) -> str:
    scale = pair.get('max_motion')
    if scale is None:
        return ''
    scene = f' of {pair["scene"]}' if pair.get('scene') else ''
    text = f'Rim: {scale:.2f} px a frame or more; white: no motion, dark grey: unknown. One scale for all pictures{scene}.'
    return legend(changes.get('wheel'), text)
