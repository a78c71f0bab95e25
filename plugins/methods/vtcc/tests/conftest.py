from peers import processes

__all__ = ["processes"]
