"""Published weights come from a server on this machine, are checked, and are downloaded once."""
from __future__ import annotations

import dataclasses
import functools
import hashlib
import socketserver
import threading
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from small_trees import ROOT

from mmrefine.apis import inference_flow, named_models, open_model
from mmrefine.apis.named_models import find_weights, load_named, model_lines
from mmrefine.apis.published_weights import fetch_weights, published_address, weights_folder
from mmrefine.apis.video_run import prepare_run
from mmrefine.cli import main
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.compat.official_checkpoints import convert_raft_checkpoint
from mmrefine.compat.published_weights import whose_weights
from mmrefine.compat.stock import stock_config_root
from mmrefine.config.load import load_config
from mmrefine.errors import CheckpointError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.fileio.images import write_image

DEMO_WEIGHTS = ROOT / 'configs/demo/raft_small_source.pth'


class Server(SimpleHTTPRequestHandler):
    """Serves a folder, counts what is asked for, and may promise more than it gives."""
    asked: list = []
    too_much = 0
    refuses_heads = False

    def do_HEAD(self):
        if self.refuses_heads:
            self.send_error(405)
        else:
            super().do_HEAD()

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def end_headers(self):
        if self.too_much:
            self._headers_buffer = [line if not line.startswith(b'Content-Length') else
                                    b'Content-Length: %d\r\n' % (int(line.split()[1]) + self.too_much)
                                    for line in self._headers_buffer]
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The folder that is served, and its address; PyTorch's cache is empty, and the published addresses lead here."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Server, 'asked', [])
    monkeypatch.setattr(Server, 'too_much', 0)
    folder = tmp_path / 'served'
    folder.mkdir()
    with socketserver.ThreadingTCPServer(('127.0.0.1', 0), functools.partial(Server, directory=str(folder))) as served:
        served.daemon_threads = True
        threading.Thread(target=served.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{served.server_address[1]}/'
        here = {name: dataclasses.replace(named, address=address + named.address.rpartition('/')[2])
                for name, named in NAMED_MODELS.items() if named.address}
        monkeypatch.setattr(named_models, 'NAMED_MODELS', {**NAMED_MODELS, **here})
        yield folder, address
        served.shutdown()


def official_file(folder: Path) -> Path:
    """The demo's weights under torchvision's names, in a file that is named after its digest."""
    path = folder / 'raw.pth'
    save_checkpoint(path, convert_raft_checkpoint(load_checkpoint_file(DEMO_WEIGHTS), 'torchvision')[0])
    named = folder / f'raft_small_C_T_V2-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    path.rename(named)
    return named


def test_a_name_is_enough_and_is_downloaded_once(server, monkeypatch, capsys):
    folder, address = server
    file = official_file(folder)
    named = dataclasses.replace(NAMED_MODELS['raft_small'], address=address + file.name)
    monkeypatch.setitem(named_models.NAMED_MODELS, 'raft_small', named)
    monkeypatch.setattr(named_models, 'whose_weights', lambda place: f'those of {place}')
    assert any(f'none yet; {address}{file.name}' in line for line in model_lines()) and not Server.asked
    models = [open_model('raft_small') for _ in range(2)]
    assert Server.asked == [f'/{file.name}']
    assert capsys.readouterr().out.count(f'weights: those of {named.address}') == 2
    assert any(line.endswith(f'weights: {weights_folder() / file.name}') for line in model_lines())
    frames = [np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8) for seed in (0, 1)]
    for model in (*models, demo := open_model('demo')):
        model.test_iters = 2
    assert np.array_equal(inference_flow(models[1], *frames), inference_flow(demo, *frames))


def test_a_file_that_is_not_what_its_name_says_is_refused_and_not_kept(server):
    folder, address = server
    file = official_file(folder)
    wrong = file.rename(folder / 'raft_small_C_T_V2-00000000.pth')
    with pytest.raises(CheckpointError, match='begins with .* and not with 00000000, so it is damaged or another file'):
        fetch_weights(address + wrong.name)
    assert not list(weights_folder().iterdir())


def test_a_file_without_a_digest_in_its_name_is_loaded_and_its_digest_remembered(server):
    folder, address = server
    (folder / 'net.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    path = fetch_weights(f'{address}net.pth')
    assert path == weights_folder() / 'net.pth' and path.read_bytes() == DEMO_WEIGHTS.read_bytes()
    assert fetch_weights(f'{address}net.pth') == path and len(Server.asked) == 1
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match='so it is not what was downloaded; delete it and try again'):
        fetch_weights(f'{address}net.pth')
    path.unlink()
    assert fetch_weights(f'{address}net.pth').is_file() and len(Server.asked) == 2


def test_another_address_of_the_same_name_is_not_taken_for_it(server):
    folder, address = server
    for name in ('one', 'two'):
        (folder / name).mkdir()
        (folder / name / 'net.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    fetch_weights(f'{address}one/net.pth')
    with pytest.raises(CheckpointError, match='from .*/one/net.pth, and .*/two/net.pth has the same name'):
        fetch_weights(f'{address}two/net.pth')


def test_a_date_in_a_name_is_no_digest_and_a_server_need_not_tell_the_length(server, monkeypatch):
    folder, address = server
    monkeypatch.setattr(Server, 'refuses_heads', True)
    (folder / 'net-20220131.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    assert fetch_weights(f'{address}net-20220131.pth').is_file()


@pytest.mark.parametrize('content, sentence', [
    (b'<!DOCTYPE html><p>moved</p>', 'is a web page and not a checkpoint'),
    (DEMO_WEIGHTS.read_bytes()[:100_000], 'is cut off or damaged'),
])
def test_what_is_no_checkpoint_is_refused_and_not_kept(server, content, sentence):
    folder, address = server
    (folder / 'net.pth').write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        fetch_weights(f'{address}net.pth')
    assert not list(weights_folder().iterdir())


def test_a_transfer_that_ends_early_leaves_nothing(server, monkeypatch):
    folder, address = server
    monkeypatch.setattr(Server, 'too_much', 1000)
    (folder / 'net.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    with pytest.raises(CheckpointError, match='bytes arrived; try again|cannot be downloaded'):
        fetch_weights(f'{address}net.pth')
    assert not list(weights_folder().glob('net.pth'))


def test_without_a_network_one_sentence_says_what_to_put_where(server, capsys):
    folder, address = server
    for name, file in (('raft_small', 'raft_small_C_T_V2-01064c6d.pth'), ('raft', 'raft_8x2_100k_mixed_368x768.pth')):
        with pytest.raises(CheckpointError) as error:
            find_weights(load_named(name))
        assert str(error.value) == (
            f'{address}{file}: cannot be downloaded (File not found); get it where there is a network and put it at '
            f'{weights_folder() / file}, or name weights with --checkpoint; --model demo needs none')
    with pytest.raises(CheckpointError, match=r'127.0.0.1:9/a.pth: cannot be downloaded \(.*refused'):
        fetch_weights('http://127.0.0.1:9/a.pth')
    write_image(folder / '1.png', np.zeros((32, 32, 3), np.uint8))
    write_image(folder / '2.png', np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(SystemExit) as status:
        main(['flow', str(folder), '--model', 'raft', '--checkpoint', f'{address}none.pth', '--out', 'out'])
    assert status.value.code == 1 and 'none.pth: cannot be downloaded (File not found)' in capsys.readouterr().err


def test_a_run_starts_from_an_address(server, tmp_path):
    folder, address = server
    (folder / 'net.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    for t in range(3):
        write_image(tmp_path / 'clip' / f'{t}.png', np.full((64, 64, 3), 40 * t, np.uint8))
    for checkpoint, values in ((f'{address}net.pth', {}), (None, dict(load_from=f'{address}net.pth'))):
        cfg, _ = prepare_run(tmp_path / 'clip', 'demo', tmp_path / 'out', checkpoint, {'held_out': 0., **values})
        assert cfg.load_from == str(weights_folder() / 'net.pth')


def test_stock_configs_have_the_addresses_of_their_metafiles():
    root = stock_config_root()
    found = {path: published_address(path) for path in sorted(root.rglob('*.py')) if '_base_' not in path.parts}
    known = {path: address for path, address in found.items() if address}
    assert len(known) > 50  # mmflow lists 62 trainings, some of configs that its wheel does not have
    assert all(address.startswith('https://download.openmmlab.com/mmflow/') and address.endswith('.pth')
               for address in known.values())
    assert published_address(root / 'raft/raft_8xb2_100k_mixed-368x768.py') == NAMED_MODELS['raft'].address
    assert published_address(ROOT / 'configs/refine/raft_video.py') is None


def test_a_stock_config_needs_no_checkpoint(server, monkeypatch):
    folder, address = server
    (folder / 'net.pth').write_bytes(DEMO_WEIGHTS.read_bytes())
    monkeypatch.setattr(named_models, 'published_address', lambda config: f'{address}net.pth')
    assert find_weights(load_config('mmflow::raft/raft_8xb2_100k_mixed-368x768.py')) == weights_folder() / 'net.pth'


def test_the_page_can_say_whose_weights_they_are():
    assert whose_weights('raft_small_C_T_V2-01064c6d.pth').endswith("not that of RAFT's authors")
    assert whose_weights('raft-small.pth') == ''
