/// Replaced by the dispatcher.
