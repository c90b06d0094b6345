# PWC-Net with three eighths of the channels in each layer: 1.8 million parameters in place of 9.4, for CPUs.
_base_ = ['mmflow::_base_/models/pwcnet.py']
model = dict(
    encoder=dict(out_channels=(8, 12, 24, 36, 48, 72)),
    decoder=dict(
        # 81 of the correlation, and but for the coarsest level the features, the flow, and what is known of it
        in_channels=dict(level6=81, level5=133, level4=121, level3=109, level2=97),
        densefeat_channels=(48, 48, 36, 24, 12),
        post_processor=dict(in_channels=265, feat_channels=(48, 48, 48, 36, 24, 12))))
