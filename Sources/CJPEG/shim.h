// What CVision needs of libjpeg-turbo. Its header asks for FILE and size_t first.
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>
