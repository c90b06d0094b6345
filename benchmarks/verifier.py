"""Whether a verifier of passes weighs them better than the arbiter, on pairs that it has not learned from: end point
errors of both, of the best pass at each pixel (oracle), and what the verifier says of its own error.

    python benchmarks/verifier.py --pairs PAIRS --checkpoint checkpoints/raft-small-mmrefine.pth

Pairs: those with truth below --pairs, as `benchmarks/arbitration.py` finds them, whole frames; and rendered ones in
looks that no verifier is trained on (fog, night, fast), with seeds of their own. Networks: RAFT-small with the weights
of --checkpoint, that of the demo, and any other by --network. Ratios are to the arbiter's error of the same passes, or
to that of the pass over the frames as they are (1x), means are geometric.
`promise`: of the pixels of which the verifier says that they are within 1 px with at least this chance, the share that
is. `AUSE`: the area between two curves, the mean error of what is left once the worst 0, 5, ... 95 % of the pixels are
left out, over the mean error of all: worst by what is said of the error, and worst by the error itself; 0 is best. It
is said by the verifier, by the round trip, by the census around the pixel, or by how far the passes lie apart; the
motion is that of the verifier in each case. `kept`: of the pixels whose expected error is at most so many px, as
`--max-error` of the command keeps them, their share of all, the share of them that is within, and their mean error;
beside both, those of all pixels. Passes are stored and not made again, so this may be stopped and started again.
`--cost` instead says what one pass, two, four, the arbiter and the verifier take of the processor.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from arbitration import Pair, filed_pairs
from sparsification import area_of

from mmrefine.apis import init_model
from mmrefine.apis.collect_passes import passes_over
from mmrefine.apis.commands import run_command
from mmrefine.fileio import write_json
from mmrefine.fileio.pass_files import StoredPasses, read_passes, write_passes
from mmrefine.geometry import box_mean, census_residual, cycle_error
from mmrefine.labeling import Arbiter, ArbitratedView, CascadeView
from mmrefine.registry import TEACHERS
from mmrefine.structures import PairBatch, as_frames
from mmrefine.synthetic import render_clip

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LOOKS = ('fog', 'night', 'fast')
PROMISES = (0.5, 0.7, 0.9, 0.95)
MOST = (0.5, 1., 2.)  # px
JUDGES = ('verifier', 'round trip', 'census', 'spread')


def main() -> int:
    """Print a row for each pair and network, then the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', type=Path, help='folder of pairs with truth; default: rendered pairs only')
    parser.add_argument('--checkpoint', help='official RAFT-small, converted; default: the network of the demo alone')
    parser.add_argument('--network', nargs=3, action='append', metavar=('NAME', 'CONFIG', 'WEIGHTS'), default=[],
                        help='another network, such as one of whose kind the verifier has seen none')
    parser.add_argument('--verifier', default=str(CONFIGS / 'verifier' / 'pass_verifier.pth'), help='its weights')
    parser.add_argument('--rendered', type=int, default=6, help='pairs of each look')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/verifier/benchmark'))
    parser.add_argument('--cost', nargs=2, type=int, metavar=('H', 'W'), help='of frames of this size, px')
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for the table')
    args = parser.parse_args()
    networks = {'demo': (CONFIGS / 'demo' / 'raft_small_target.py', CONFIGS / 'demo' / 'raft_small_source.pth', None)}
    if args.checkpoint:
        networks['raft'] = (CONFIGS / 'refine' / 'raft_small_video.py', args.checkpoint, 12)
    networks.update({name: (config, weights, None) for name, config, weights in args.network})
    source = TEACHERS.build(dict(type='OtherNetwork', model=str(CONFIGS / 'verifier' / 'pass_verifier.py'),
                                 checkpoint=args.verifier))
    judge, rows, said = source.network(), [], []
    if args.cost:
        _print_cost(judge, {name: init_model(config, str(checkpoint))
                            for name, (config, checkpoint, _) in networks.items()}, tuple(args.cost))
        return 0
    print('| network | pair | motion | 1x | arbiter | verifier | oracle | verifier / arbiter | verifier / 1x |\n'
          + '|---' * 9 + '|')
    for name, (config, checkpoint, iters) in networks.items():
        model = init_model(config, str(checkpoint))
        model.test_iters = iters or model.test_iters
        for group, pair in _pairs(args.pairs, args.rendered):
            path = args.work_dir / name / f'{group}_{pair.name.replace("/", "_")}.npz'
            row, *pixels = _row(judge, _seen(path, model, pair))
            rows.append(dict(network=name, group=group, pair=pair.name, **row))
            said.append((group, *pixels))
            cells = [f'{row[kind]:.3f}' for kind in ('1x', 'arbiter', 'verifier', 'oracle')]
            cells += [f'{row["verifier"] / row[kind]:.3f}' for kind in ('arbiter', '1x')]
            print(f'| {name} | {pair.name} | {row["motion"]:.1f} | {" | ".join(cells)} |', flush=True)
    _print_means(rows)
    _print_promises(said)
    _print_kept(said)
    _print_areas(rows)
    if args.out is not None:
        write_json(args.out, rows)
    return 0


@torch.no_grad()
def _print_cost(judge: Any, models: Dict[str, Any], size: Tuple[int, int]) -> None:
    frames = as_frames(render_clip(70000, 2, size, 'target').frames)
    batch, view = PairBatch(frames[:1], frames[1:]), ArbitratedView()
    print('| network | one pass, s | two, s | four, s | arbiter, s | verifier beside it, s | of passes and arbiter | '
          'all over one pass | over two |\n' + '|---' * 9 + '|')
    for name, model in models.items():
        times = [time.process_time()]
        for scales in ((1., ), (1., 2.)):
            CascadeView(scales=scales).look(model, batch)
            times.append(time.process_time())
        passes = torch.stack(list(view.motions(model, batch).values()))
        times.append(time.process_time())
        start, shares = view.arbiter.settle(*batch.both_ways(), passes)
        times.append(time.process_time())
        judge.verify(*batch.both_ways(), passes, view.traits_of(model), start, shares)
        times.append(time.process_time())
        one, two, seen, settled, verified = np.diff(times)
        print(f'| {name} | {one:.2f} | {two:.2f} | {seen:.2f} | {settled:.2f} | {verified:.2f} | '
              f'{verified / (seen + settled):.2f} | {(seen + settled + verified) / one:.1f} | '
              f'{(seen + settled + verified) / two:.1f} |')


def _pairs(root: Any, rendered: int) -> Iterator[Tuple[str, Pair]]:
    for pair in filed_pairs(root) if root else ():
        yield 'real', pair
    for look in LOOKS:
        for i in range(rendered):
            clip = render_clip(70000 + i, 2, (128, 192), look)
            frames, truth = as_frames(clip.frames), torch.from_numpy(clip.flow_fw)
            yield look, Pair(f'{look} {i}', frames[:1], frames[1:], truth, torch.ones_like(truth[:, :1]).bool())


@torch.no_grad()
def _seen(path: Path, model: Any, pair: Pair) -> StoredPasses:
    """The passes of a network over a pair, from the disk if they are there."""
    if not path.is_file():
        frames = torch.cat([pair.frames1, pair.frames2]).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
        truth = torch.cat([pair.truth, torch.zeros_like(pair.truth)]).numpy()
        known = torch.cat([pair.known[:, 0], torch.zeros_like(pair.known[:, 0])]).numpy()
        write_passes(path, passes_over(model, frames, truth, known))
    return read_passes(path)


@torch.no_grad()
def _row(judge: Any, stored: StoredPasses) -> Tuple[Dict[str, float], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Errors px over the pixels whose truth is known, and of each of these the chance to be within 1 px, the error that
    is expected, px, and the error, px."""
    frames = as_frames(list(stored.frames))
    ways = PairBatch(frames[:1], frames[1:]).both_ways()
    passes, traits = torch.from_numpy(stored.passes).float(), torch.from_numpy(stored.traits)
    truth, known = torch.from_numpy(stored.truth[:1]).float(), torch.from_numpy(stored.known[:1])[:, None]
    start, shares = Arbiter().settle(*ways, passes)
    verdict = judge.verify(*ways, passes, traits, start, shares)
    errors = {name: (motion[..., :1, :, :, :] - truth).norm(dim=-3, keepdim=True)
              for name, motion in dict(arbiter=start, verifier=verdict.motion, oracle=passes).items()}
    # passes begin with that over the frames as they are
    errors['1x'], errors['oracle'] = errors['oracle'][0], errors['oracle'].amin(dim=0)
    row = {name: float(error[known].mean()) for name, error in errors.items()}
    row['motion'] = float(truth.norm(dim=1, keepdim=True)[known].mean())
    error = errors['verifier'][known]
    row.update({f'AUSE {name}': area_of(error.numpy(), said[known].numpy())
                for name, said in _said(ways, passes, verdict).items()})
    return row, verdict.sure[:1][known].sigmoid(), verdict.error[:1][known], error


def _said(ways: Tuple[torch.Tensor, torch.Tensor], passes: torch.Tensor, verdict: Any) -> Dict[str, torch.Tensor]:
    """How wrong the motion forward may be, ``(1, 1, H, W)``, by each judge in a unit of its own."""
    motion = verdict.motion
    census = census_residual(*ways, motion)[:1]
    outside = census.isinf()
    around = box_mean(census.masked_fill(outside, 0.), 4) / box_mean((~outside).float(), 4).clamp(min=1e-6)
    spread = (passes - passes.mean(dim=0)).norm(dim=2, keepdim=True).mean(dim=0)[:1]
    return dict(zip(JUDGES, (verdict.error[:1], cycle_error(motion, motion.flip(0))[:1],
                             around.masked_fill(outside, float('inf')), spread)))


def _print_means(rows: List[Dict[str, Any]]) -> None:
    print('\n| network | pairs | verifier / arbiter | worst | oracle / arbiter | arbiter / 1x | worst | verifier / 1x '
          '| worst |\n' + '|---' * 9 + '|')
    groups = {'real': ('real', ), 'rendered': LOOKS, 'all': ('real', *LOOKS)}
    for network in [*dict.fromkeys(row['network'] for row in rows), 'all']:
        for group, members in groups.items():
            chosen = [row for row in rows if row['group'] in members and network in (row['network'], 'all')]
            if chosen:
                cells = [_mean(chosen, *kinds) for kinds in (
                    ('verifier', 'arbiter'), ('oracle', 'arbiter'), ('arbiter', '1x'), ('verifier', '1x'))]
                cells[1] = cells[1].partition(' | ')[0]
                print(f'| {network} | {group}, {len(chosen)} | {" | ".join(cells)} |')


def _mean(rows: List[Dict[str, Any]], kind: str, of: str) -> str:
    """The geometric mean of the ratios of two errors, and the largest."""
    ratios = [row[kind] / row[of] for row in rows]
    return f'{np.exp(np.mean(np.log(ratios))):.3f} | {max(ratios):.3f}'


def _print_promises(said: List[tuple]) -> None:
    print('\n| promise | ' + ' | '.join(('real', 'rendered')) + ' |\n|---|---|---|')
    for least in PROMISES:
        cells = []
        for is_real in (True, False):
            kept = [(error < 1)[sure >= least].double() for group, sure, _, error in said
                    if (group == 'real') == is_real]
            kept = torch.cat(kept) if kept else torch.empty(0)
            cells.append(f'{100 * float(kept.mean()):.1f} %' if len(kept) else '')
        print(f'| {least} | ' + ' | '.join(cells) + ' |')


def _print_kept(said: List[tuple]) -> None:
    print('\n| kept | at most, px | share | within | all within | mean error, px | of all |\n' + '|---' * 7 + '|')
    for name in ('real', 'rendered'):
        chosen = [(expected, error) for group, _, expected, error in said if (group == 'real') == (name == 'real')]
        if chosen:
            expected, error = (torch.cat(part).double() for part in zip(*chosen))
            for most in MOST:
                kept, within = expected <= most, (error <= most).double()
                print(f'| {name} | {most:g} | {100 * float(kept.double().mean()):.1f} % | '
                      f'{100 * float(within[kept].mean()):.1f} % | {100 * float(within.mean()):.1f} % | '
                      f'{float(error[kept].mean()):.2f} | {float(error.mean()):.2f} |')


def _print_areas(rows: List[Dict[str, Any]]) -> None:
    print('\n| AUSE | ' + ' | '.join(JUDGES) + ' |\n' + '|---' * (1 + len(JUDGES)) + '|')
    for group, members in {'real': ('real', ), 'rendered': LOOKS}.items():
        chosen = [row for row in rows if row['group'] in members]
        if chosen:
            cells = (np.mean([row[f'AUSE {name}'] for row in chosen]) for name in JUDGES)
            print(f'| {group}, {len(chosen)} | ' + ' | '.join(f'{cell:.3f}' for cell in cells) + ' |')


if __name__ == '__main__':
    run_command(main)
