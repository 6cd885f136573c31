// What CVision needs of libwebp.
#include <webp/decode.h>
