# raft_kitti2015.py with other unlabelled frames: the raw drives of KITTI (synced and rectified) without those of its
# benchmarks, https://www.cvlibs.net/datasets/kitti/raw_data.php: data/kitti_raw/2011_09_26/2011_09_26_drive_0001_sync.
_base_ = 'raft_kitti2015.py'

raw_root = 'data/kitti_raw'
testing = 'data/kitti2015/testing/image_2'  # leave out copies of these and their neighbours, too; []: look for none
held_out_raw = 0.02  # share of each drive that the guard keeps back to judge with

__raw = dict(
    _delete_=True, type='KittiRawPairs', data_root='{raw_root}', testing='{testing}', held_out='{held_out_raw}')
label_data = __raw
guard_data = dict(held=True, **__raw)
train_dataloader = dict(
    dataset=dict(
        parts=dict(
            unlabelled=dict(
                directions='{labeler.directions}', seed='{randomness.seed}', pipeline='{train_pipeline}', **__raw))))
