// What CVision needs of libpng.
#include <png.h>
