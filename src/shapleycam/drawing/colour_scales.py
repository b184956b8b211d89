"""The colours of maps: for heat from 0 to 1, and for signed values around zero.

The two default colour maps are copied from matplotlib as numbers, because importing matplotlib takes as long as
explaining a photograph. Other colour maps are read from matplotlib by name.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from shapleycam.errors import OptionError
from shapleycam.names import canonical_name, nearest

_ENTRIES = 256
"""Number of entries in a table of colours."""
_TURBO = (
    "30123b32154333184a341b51351e5836215f37246638276d392a733a2d793b2f803c32863d358b3e38913f3b973f3e9c4040a24143a7"
    "4146ac4249b1424bb5434eba4451bf4454c34456c74559cb455ccf455ed34661d64664da4666dd4669e0466be3476ee64771e94773eb"
    "4776ee4778f0477bf2467df44680f64682f84685fa4687fb458afc458cfd448ffe4391fe4294ff4196ff4099ff3e9bfe3d9efe3ba0fd"
    "3aa3fc38a5fb37a8fa35abf833adf731aff52fb2f42eb4f22cb7f02ab9ee28bceb27bee925c0e723c3e422c5e220c7df1fc9dd1ecbda"
    "1ccdd81bd0d51ad2d21ad4d019d5cd18d7ca18d9c818dbc518ddc218dec018e0bd19e2bb19e3b91ae4b61ce6b41de7b21fe9af20eaac"
    "22ebaa25eca727eea42aefa12cf09e2ff19b32f29835f39438f4913cf58e3ff68a43f78746f8844af8804ef97d52fa7a55fa7659fb73"
    "5dfc6f61fc6c65fd6969fd666dfe6271fe5f75fe5c79fe597dff5680ff5384ff5188ff4e8bff4b8fff4992ff4796fe4499fe429cfe40"
    "9ffd3fa1fd3da4fc3ca7fc3aa9fb39acfb38affa37b1f936b4f836b7f735b9f635bcf534bef434c1f334c3f134c6f034c8ef34cbed34"
    "cdec34d0ea34d2e935d4e735d7e535d9e436dbe236dde037dfdf37e1dd37e3db38e5d938e7d739e9d539ebd339ecd13aeecf3aefcd3a"
    "f1cb3af2c93af4c73af5c53af6c33af7c13af8be39f9bc39faba39fbb838fbb637fcb336fcb136fdae35fdac34fea933fea732fea431"
    "fea130fe9e2ffe9b2dfe992cfe962bfe932afe9029fd8d27fd8a26fc8725fc8423fb8122fb7e21fa7b1ff9781ef9751df8721cf76f1a"
    "f66c19f56918f46617f36315f26014f15d13f05b12ef5811ed5510ec530feb500eea4e0de84b0ce7490ce5470be4450ae2430ae14109"
    "df3f08dd3d08dc3b07da3907d83706d63506d43305d23105d02f05ce2d04cc2b04ca2a04c82803c52603c32503c12302be2102bc2002"
    "b91e02b71d02b41b01b21a01af1801ac1701a91601a71401a41301a112019e10019b0f01980e01950d01920b018e0a018b0902880802"
    "8507028106027e05027a0403"
)
"""Google's perceptually smooth rainbow "turbo" (Mikhailov 2019)."""
_RED_TO_BLUE = "0530612166ac4393c392c5ded1e5f0f7f7f7fddbc7f4a582d6604db2182b67001f"
"""ColorBrewer's diverging map "RdBu_r", at eleven stops: red is evidence for the class, blue against it."""


def heat_colours(shares: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3"]:
    """Return the RGB colours in [0, 1] for heat from 0 to 1.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.drawing.colour_scales import heat_colours
        >>> heat_colours(np.array([0.0, 1.0])).round(2).tolist()
        [[0.19, 0.07, 0.23], [0.48, 0.02, 0.01]]
    """
    return _look_up(_HEAT, shares)


def signed_colours(values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3"]:
    """Return the RGB colours in [0, 1] for signed values from -1 to 1.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.drawing.colour_scales import signed_colours
        >>> signed_colours(np.array([-1.0, 1.0])).round(2).tolist()
        [[0.02, 0.19, 0.38], [0.4, 0.0, 0.12]]
    """
    return _look_up(_SIGNED, 0.5 + 0.5 * values)


def find_colour_map(name: str) -> str:
    """Return the exact name of matplotlib's colour map for a name in any spelling.

    Raises:
        OptionError: matplotlib has none of this name.

    Examples:
        >>> from shapleycam.drawing.colour_scales import find_colour_map
        >>> find_colour_map("Viridis"), find_colour_map("rdbu-r")
        ('viridis', 'RdBu_r')
    """
    from matplotlib import colormaps  # here, because it takes a tenth of a second, and default colours do not need it

    own_name = name if isinstance(name, str) and name in colormaps else canonical_name(name, colormaps)
    if own_name is None:
        raise OptionError(f"colour map {name!r} is unknown; {nearest(str(name), list(colormaps))}")
    return own_name


def colours_by_name(name: str, shares: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 4"]:
    """Return the RGBA colours in [0, 1] of matplotlib's colour map `name` for numbers from 0 to 1.

    Examples:
        >>> import numpy as np
        >>> from shapleycam.drawing.colour_scales import colours_by_name
        >>> colours_by_name("gray", np.array([0.0, 1.0])).tolist()
        [[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    from matplotlib import colormaps

    colours: np.ndarray = colormaps[name](np.asarray(shares, dtype=np.float64))
    return colours


def _look_up(table: Float[np.ndarray, "256 3"], shares: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3"]:
    """Return each number's entry in a table whose entries divide [0, 1] evenly."""
    colours: np.ndarray = table[(shares * _ENTRIES).astype(np.intp).clip(0, _ENTRIES - 1)]
    return colours


def _rgb(digits: str) -> Float[np.ndarray, "entries 3"]:
    """Return colours in [0, 1] from their hexadecimal digits."""
    channels: UInt8[np.ndarray, "entries 3"] = np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 3)
    return channels / 255


def _interpolate(stops: Float[np.ndarray, "stops 3"]) -> Float[np.ndarray, "256 3"]:
    """Return a table of colours, interpolated linearly between equidistant stops."""
    places, entries = np.linspace(0, 1, len(stops)), np.linspace(0, 1, _ENTRIES)
    return np.stack([np.interp(entries, places, channel) for channel in stops.T], axis=1)


_HEAT, _SIGNED = _rgb("".join(_TURBO)), _interpolate(_rgb(_RED_TO_BLUE))
