#ifndef CVISION_H
#define CVISION_H

// Encoded images to pixels, for bytes that nobody vouches for.
//
// A header is read and held against limits before anything is allocated for pixels. What is damaged or
// ends early is refused with a reason: no image is ever half decoded. The libraries' own ways to end a
// process, to print or to wait for more bytes are all replaced.

#include <stddef.h>
#include <stdint.h>

typedef enum { CV_JPEG = 1, CV_PNG = 2, CV_WEBP = 3 } cv_format;

// How the colour of a JPEG is enlarged that has half the lightness's width and height.
typedef enum {
  // By a triangle, as libjpeg-turbo does, and Pillow with it.
  CV_UPSAMPLE_TRIANGLE = 0,
  // In the cosine transform, as IJG's libjpeg does from version 7 on.
  CV_UPSAMPLE_DCT = 1,
} cv_upsampling;

typedef struct {
  // Of the encoded image.
  size_t byte_count;
  // Width times height, as the header declares it.
  uint64_t pixel_count;
  uint32_t side;
} cv_limits;

typedef struct {
  cv_format format;
  // As stored: an orientation of 5 to 8 exchanges them.
  uint32_t width, height;
  // 1 to 8, as EXIF counts; 1 where none is said.
  uint32_t orientation;
} cv_header;

enum { CV_REASON_SIZE = 160 };

// Reads the header alone.
//
// Returns 0, or -1 with a clause in `reason` that holds nothing of the bytes but numbers of the header.
int cv_read_header(
    const uint8_t *bytes, size_t count, const cv_limits *limits, cv_header *header,
    char reason[CV_REASON_SIZE]);

// Decodes into `rgb`, which has room for width * height * 3 bytes of the header, row by row.
//
// Grey becomes three equal values, a palette its colours, alpha is left out; of 16 bits the upper 8 are
// taken; CMYK and YCCK are read as Adobe writes them (inverted) and their colours mixed as Pillow does.
// Profiles of colour and gamma are not looked at, and the orientation is not applied.
int cv_decode(
    const uint8_t *bytes, size_t count, const cv_limits *limits, const cv_header *header,
    cv_upsampling upsampling, uint8_t *rgb, char reason[CV_REASON_SIZE]);

// Turns and mirrors an image so that it is seen as its orientation says. `to` has the same number of
// pixels, with the sides exchanged for orientations of 5 to 8. `channels` is 1 or 3.
void cv_orient(
    const uint8_t *from, uint32_t width, uint32_t height, uint32_t channels, uint32_t orientation,
    uint8_t *to);

// Writes a JPEG into `out`, of which `capacity` bytes may be used; `channels` is 1 or 3.
//
// Returns the number of bytes, 0 where they are too many or the image is none.
size_t cv_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int quality,
    uint8_t *out, size_t capacity);

#endif
