# What trainings on labelled and unlabelled frame pairs together share. Each of them adds the classes and folders of
# both parts, `labelled_pipeline` and `train_pipeline` (of the unlabelled pairs), `held_out` and `report_groups`.
labelled_share = 0.5  # of the pairs that are drawn; or knots [(progress, share), …], progress from 0 to 1

label_data = dict(held_out='{held_out}')
guard_data = dict(held_out='{held_out}', held=True)
train_dataloader = dict(
    batch_size='{batch_size}',
    num_workers='{num_workers}',
    sampler=dict(type='MixedSampler', shares=dict(labelled='{labelled_share}')),
    dataset=dict(
        type='MixedPairs',
        loss_weights=dict(labelled=1., unlabelled=1.),
        parts=dict(
            labelled=dict(seed='{randomness.seed}', pipeline='{labelled_pipeline}'),
            unlabelled=dict(
                held_out='{held_out}',
                directions='{labeler.directions}',
                seed='{randomness.seed}',
                pipeline='{train_pipeline}'))))
