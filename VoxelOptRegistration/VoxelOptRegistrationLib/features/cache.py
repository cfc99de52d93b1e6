"""Feature maps kept on disk between runs, by the content of what they were made of. Never the reason for a failure."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..caching import cache_folder
from ..options import FeatureOptions
from .extractor import Extractor, NetworkInput, nothing

_SUFFIX = ".features"
_PART = ".part"
_ABANDONED_SECONDS = 3600.0


@dataclass(frozen=True)
class FeatureCache:
    """A folder of feature maps of at most `limit_bytes`; what was unused for longest goes first.

    A file that is damaged, or cannot be read or written, counts as absent. Several processes may share the folder.
    """

    folder: Path
    limit_bytes: int

    def load(self, key: str) -> Tensor | None:
        """The feature maps kept under `key`, float32, or None."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as archive:
                features = archive["features"]
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        return torch.from_numpy(features) if features.dtype == np.float32 else None

    def store(self, key: str, features: Tensor) -> bool:
        """Keep `features` under `key`; whether that was possible. The file appears whole or not at all."""
        array = features.detach().cpu().float().contiguous().numpy()
        if array.nbytes > self.limit_bytes:
            return False
        part = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(suffix=_PART, dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                np.savez(file, features=array)
            os.replace(part, self._path(key))
        except OSError:
            if part is not None:
                with contextlib.suppress(OSError):
                    os.unlink(part)
            return False
        self._shrink()
        return True

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        """Remove what is beyond the limit, and what a process that was killed left behind."""
        kept = []
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    status = path.stat()
                    if path.suffix == _SUFFIX:
                        kept.append((status.st_mtime_ns, status.st_size, path))
                    elif path.suffix == _PART and time.time() - status.st_mtime > _ABANDONED_SECONDS:
                        path.unlink()
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


@dataclass(frozen=True)
class Cached:
    """The same extractor, which remembers; told: called with True where the features came from the cache."""

    extractor: Extractor
    cache: FeatureCache
    told: Callable[[bool], None] = lambda hit: None

    @property
    def channels(self) -> int:
        return self.extractor.channels

    @property
    def input(self) -> NetworkInput | None:
        return self.extractor.input

    @property
    def identity(self) -> str:
        return self.extractor.identity

    def __call__(self, image: Tensor, trust: Tensor | None = None, checkpoint: Callable[[], None] = nothing) -> Tensor:
        key = content_key(self.identity, image, trust)
        kept = self.cache.load(key)
        hit = kept is not None and tuple(kept.shape) == (self.channels, *image.shape)
        self.told(hit)
        if kept is not None and hit:
            return kept.to(image.device)
        features = self.extractor(image, trust, checkpoint)
        self.cache.store(key, features)
        return features


def remembering(extractor: Extractor, options: FeatureOptions, told: Callable[[bool], None]) -> Extractor:
    """`extractor` with the cache that `options` ask for, or as it is."""
    if options.cache == "off" or (options.cache == "auto" and extractor.input is None):
        return extractor
    folder = cache_folder() if options.cache in ("auto", "all") else Path(options.cache).expanduser()
    return Cached(extractor, FeatureCache(folder, int(options.cache_gib * 2**30)), told)


def content_key(identity: str, image: Tensor, trust: Tensor | None) -> str:
    """SHA-256 of everything that decides the features, hexadecimal."""
    digest = hashlib.sha256(f"{identity} {tuple(image.shape)} {torch.__version__}".encode())
    digest.update(image.detach().cpu().float().numpy().tobytes())
    if trust is not None:
        digest.update(np.packbits(trust.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()
