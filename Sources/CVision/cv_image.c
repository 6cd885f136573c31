#include "cv_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int cv_refuse(char *reason, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, CV_REASON_SIZE, format, arguments);
  va_end(arguments);
  return -1;
}

static cv_format format_of(const uint8_t *bytes, size_t count) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (count >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff) return CV_JPEG;
  if (count >= 8 && memcmp(bytes, png, 8) == 0) return CV_PNG;
  if (count >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) return CV_WEBP;
  return 0;
}

static int within(const cv_header *header, const cv_limits *limits, char *reason) {
  uint64_t pixels = (uint64_t)header->width * header->height;
  if (pixels == 0) {
    return cv_refuse(reason, "image has %u x %u pixels", header->width, header->height);
  }
  if (header->width > limits->side || header->height > limits->side) {
    return cv_refuse(
        reason, "image has %u x %u pixels, a side may have %u", header->width, header->height,
        limits->side);
  }
  if (pixels > limits->pixel_count) {
    return cv_refuse(
        reason, "image has %u x %u pixels, the limit is %llu", header->width, header->height,
        (unsigned long long)limits->pixel_count);
  }
  return 0;
}

int cv_read_header(
    const uint8_t *bytes, size_t count, const cv_limits *limits, cv_header *header,
    char reason[CV_REASON_SIZE]) {
  memset(header, 0, sizeof *header);
  header->orientation = 1;
  if (count == 0) return cv_refuse(reason, "image has no bytes");
  if (count > limits->byte_count) {
    return cv_refuse(reason, "image has %zu bytes, the limit is %zu", count, limits->byte_count);
  }
  header->format = format_of(bytes, count);
  int status;
  switch (header->format) {
  case CV_JPEG: status = cv_jpeg_header(bytes, count, header, reason); break;
  case CV_PNG: status = cv_png_header(bytes, count, header, reason); break;
  case CV_WEBP: status = cv_webp_header(bytes, count, header, reason); break;
  default: return cv_refuse(reason, "image is neither JPEG nor PNG nor WebP");
  }
  return status == 0 ? within(header, limits, reason) : status;
}

int cv_decode(
    const uint8_t *bytes, size_t count, const cv_limits *limits, const cv_header *header,
    cv_upsampling upsampling, uint8_t *rgb, char reason[CV_REASON_SIZE]) {
  cv_header own;
  if (cv_read_header(bytes, count, limits, &own, reason) != 0) return -1;
  // `rgb` was sized by the header given.
  if (own.width != header->width || own.height != header->height) {
    return cv_refuse(reason, "image has %u x %u pixels, another size was read before", own.width, own.height);
  }
  switch (own.format) {
  case CV_JPEG: return cv_jpeg_decode(bytes, count, &own, upsampling, rgb, reason);
  case CV_PNG: return cv_png_decode(bytes, count, &own, rgb, reason);
  default: return cv_webp_decode(bytes, count, &own, rgb, reason);
  }
}

// MARK: Orientation

uint32_t cv_exif_orientation(const uint8_t *tiff, size_t count) {
  if (count < 8) return 1;
  int is_little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!is_little && !(tiff[0] == 'M' && tiff[1] == 'M')) return 1;
  uint32_t (*read16)(const uint8_t *) = is_little ? cv_le16 : cv_be16;
  uint32_t (*read32)(const uint8_t *) = is_little ? cv_le32 : cv_be32;
  if (read16(tiff + 2) != 42) return 1;
  size_t place = read32(tiff + 4);
  if (place > count - 2) return 1;
  size_t entries = read16(tiff + place);
  place += 2;
  for (; entries > 0 && count - place >= 12; entries--, place += 12) {
    if (read16(tiff + place) != 0x0112) continue;
    // One number of 16 bits.
    if (read16(tiff + place + 2) != 3 || read32(tiff + place + 4) != 1) return 1;
    uint32_t value = read16(tiff + place + 8);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

#define ORIENT(CHANNELS)                                                                           \
  for (uint32_t y = 0; y < rows; y++) {                                                            \
    const uint8_t *pixel = from + start * CHANNELS + (ptrdiff_t)y * down * CHANNELS;               \
    for (uint32_t x = 0; x < columns; x++, pixel += across * CHANNELS, to += CHANNELS) {           \
      for (int c = 0; c < CHANNELS; c++) to[c] = pixel[c];                                         \
    }                                                                                              \
  }

void cv_orient(
    const uint8_t *from, uint32_t width, uint32_t height, uint32_t channels, uint32_t orientation,
    uint8_t *to) {
  ptrdiff_t w = width, h = height;
  uint32_t columns = orientation >= 5 ? height : width;
  uint32_t rows = orientation >= 5 ? width : height;
  // Where the first pixel of the result comes from, and how far apart those of its rows and columns are.
  ptrdiff_t start, across, down;
  switch (orientation) {
  case 2: start = w - 1, across = -1, down = w; break;
  case 3: start = w * h - 1, across = -1, down = -w; break;
  case 4: start = w * (h - 1), across = 1, down = -w; break;
  case 5: start = 0, across = w, down = 1; break;
  case 6: start = w * (h - 1), across = -w, down = 1; break;
  case 7: start = w * h - 1, across = -w, down = -1; break;
  case 8: start = w - 1, across = w, down = -1; break;
  default: start = 0, across = 1, down = w; break;
  }
  if (channels == 3) {
    ORIENT(3)
  } else {
    ORIENT(1)
  }
}
