"""pytorch-grad-cam's classes of one method each."""

from __future__ import annotations

from shapleycam.compat.grad_cam.base_cam import BaseCAM


class GradCAM(BaseCAM):
    """`gradcam`."""

    method = "gradcam"


class HiResCAM(BaseCAM):
    """`hirescam`."""

    method = "hirescam"


class GradCAMElementWise(BaseCAM):
    """`gradcam-e`."""

    method = "gradcam-e"


class GradCAMPlusPlus(BaseCAM):
    """`gradcam++`."""

    method = "gradcam++"


class XGradCAM(BaseCAM):
    """`xgradcam`."""

    method = "xgradcam"


class LayerCAM(BaseCAM):
    """`layercam`."""

    method = "layercam"


class ShapleyCAM(BaseCAM):
    """`shapleycam`."""

    method = "shapleycam"


class EigenCAM(BaseCAM):
    """`eigencam`."""

    method = "eigencam"


class EigenGradCAM(BaseCAM):
    """`eigengradcam`."""

    method = "eigengradcam"


class KPCA_CAM(BaseCAM):
    """`kpcacam`."""

    method = "kpcacam"


class SegEigenCAM(BaseCAM):
    """`segeigencam`."""

    method = "segeigencam"


class FEM(BaseCAM):
    """`fem`."""

    method = "fem"
    takes_eigen_smooth = False


class ScoreCAM(BaseCAM):
    """`scorecam`, in batches as large as fits into memory: an attribute `batch_size` has no effect."""

    method = "scorecam"


class RandomCAM(BaseCAM):
    """`randomcam`: its weights are drawn from each image's content."""

    method = "randomcam"
