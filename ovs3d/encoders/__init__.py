"""The encoders behind the names of `ovs3d.spaces`: open_clip towers, their dense path, and DINO vision transformers."""
