"""Readers of annotations of objects: COCO JSON, mask images, PASCAL VOC XML."""
