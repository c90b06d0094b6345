"""The page in a real browser, from disk: nothing sticks out on desk or phone, pictures load, the slider reveals."""
from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess

import pytest
from report_records import full_record, track_record

from mmrefine.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome',
                                                'google-chrome-stable', 'chrome'))), None)
WIDTHS = dict(desk=1280, phone=390)
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--hide-scrollbars',
         '--virtual-time-budget=10000')

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='no Chromium on this machine; the other tests read the page without one')

# put into a copy of the page, which tells the page that frames it what it found
PROBE = '''<script>
addEventListener('load', async () => {
  const pictures = [...document.images];
  for (const one of pictures) one.loading = 'eager';
  for (let i = 0; i < 100 && !pictures.every(one => one.complete); i++) await new Promise(done => setTimeout(done, 50));
  const wide = [...document.querySelectorAll('body *:not(script):not(style)')].filter(
    one => !one.closest(innerWidth < 480 ? 'svg' : '.scroll table, svg')
      && one.getBoundingClientRect().right > innerWidth + 1);
  const small = [...document.querySelectorAll('body *')].filter(
    one => !one.closest('svg') && one.innerText && parseFloat(getComputedStyle(one).fontSize) < 12);
  const place = one => {
    const at = one.getBoundingClientRect();
    return [at.left, at.top, at.width, at.height].map(Math.round);
  };
  const box = document.querySelector('.compare');
  const input = box.querySelector('input'), after = box.querySelector('.after');
  const found = {
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide.map(one => one.tagName + '.' + one.className),
    small: small.map(one => one.tagName + '.' + one.className),
    pictures: pictures.length, loaded: pictures.filter(one => one.naturalWidth > 0).length,
    live: box.classList.contains('live'), slider: getComputedStyle(input).display, clip: [], spoken: [],
    before: place(box.querySelector('.before img')), after: place(after.querySelector('img')),
    text: [...document.querySelectorAll('svg')].map(one => 12 * one.getBoundingClientRect().width / 360)
  };
  const note = () => {
    found.clip.push(getComputedStyle(after).clipPath);
    found.spoken.push(input.getAttribute('aria-valuetext'));
  };
  note();
  input.focus();
  found.focus = document.activeElement === input;
  input.stepUp(25);  // what an arrow key does, many times
  input.dispatchEvent(new Event('input'));
  note();
  const frame = box.querySelector('.stack').getBoundingClientRect();
  const quarter = {clientX: frame.left + frame.width / 4, buttons: 1};
  box.querySelector('.stack').dispatchEvent(new PointerEvent('pointermove', quarter));
  note();
  parent.postMessage([name, found], '*');
});
</script>'''


HOST = """<!DOCTYPE html><body><script>
const all = {};
addEventListener('message', event => {
  all[event.data[0]] = event.data[1];
  document.body.dataset.found = JSON.stringify(all);
});
</script>"""


@pytest.fixture(scope='module')
def everything(tmp_path_factory):
    """What was found of a report with every part on desk, phone, and on a phone without script, and of a tracker's.

    In frames, as a headless window has a least width; the style sees the width of the frame.
    """
    folder = tmp_path_factory.mktemp('report')
    write_report(folder, track_record(folder))
    of_tracks = (folder / 'report.html').read_text()
    write_report(folder, full_record(folder))
    page = (folder / 'report.html').read_text()
    plain = re.sub('<script>.*?</script>', '', page, flags=re.DOTALL)
    frames = []
    for name, text, width in (('desk', page, WIDTHS['desk']), ('phone', page, WIDTHS['phone']),
                              ('no script', plain, WIDTHS['phone']), ('tracks, desk', of_tracks, WIDTHS['desk']),
                              ('tracks, phone', of_tracks, WIDTHS['phone'])):
        (folder / f'{name}.html').write_text(text.replace('</body>', PROBE + '</body>'))
        style = f'border: 0; width: {width}px; height: 900px'
        frames.append(f'<iframe name="{name}" src="{name}.html" style="{style}"></iframe>')
    (folder / 'host.html').write_text(HOST + ''.join(frames))
    profile = tmp_path_factory.mktemp('profile')
    command = [str(CHROMIUM), *FLAGS, f'--user-data-dir={profile}', '--window-size=1400,900', '--dump-dom',
               (folder / 'host.html').as_uri()]
    # its crash reports go where it is at home
    home = dict(os.environ, HOME=str(profile), XDG_CONFIG_HOME=str(profile), XDG_CACHE_HOME=str(profile))
    dumped = subprocess.run(command, capture_output=True, timeout=300, check=True, env=home).stdout.decode()
    return json.loads(html.unescape(re.search('data-found="([^"]*)"', dumped).group(1)))


@pytest.fixture(params=WIDTHS)
def found(request, everything):
    """What was found at a width."""
    assert everything[request.param]['width'] == WIDTHS[request.param]
    return everything[request.param]


def test_nothing_sticks_out(found):
    assert found['scroll'] == found['width'] and found['wide'] == []


@pytest.mark.parametrize('width', WIDTHS)
def test_the_report_of_a_tracker_fits_too_and_has_its_pictures_under_a_slider(everything, width):
    found = everything[f'tracks, {width}']
    assert found['scroll'] == found['width'] == WIDTHS[width] and found['wide'] == [] and found['small'] == []
    assert found['loaded'] == found['pictures'] == 13 and found['live'] and found['before'] == found['after']


def test_no_text_is_too_small_to_read(found):
    assert found['small'] == [] and len(found['text']) == 3 and min(found['text']) >= 11


def test_all_pictures_are_loaded_from_disk(found):
    assert found['loaded'] == found['pictures'] == 15


def test_the_slider_reveals_by_keys_and_by_dragging(found):
    assert found['live'] and found['slider'] != 'none' and found['focus']
    assert found['clip'] == ['inset(0px 0px 0px 50%)', 'inset(0px 0px 0px 75%)', 'inset(0px 0px 0px 25%)']
    assert found['spoken'] == [f'left {share} % before, the rest after' for share in (50, 75, 25)]
    assert found['before'] == found['after']  # one lies over the other


def test_without_script_both_pictures_stand_side_by_side(everything):
    found = everything['no script']
    assert not found['live'] and found['slider'] == 'none' and found['wide'] == []
    (left, top, width, height), (left_after, top_after, width_after, height_after) = found['before'], found['after']
    assert top == top_after and left + width <= left_after and min(width, width_after) > 100 and min(height,
                                                                                                     height_after) > 50
