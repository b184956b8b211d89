"""Annotations of where objects are: COCO JSON, mask images, Pascal VOC XML."""
