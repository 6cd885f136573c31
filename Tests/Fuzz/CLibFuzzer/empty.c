// The module has headers only; a target needs a source.
#include "CLibFuzzer.h"
