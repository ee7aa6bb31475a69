"""The machine: installed packages, limits of memory and threads, forked processes, the cache folder."""
