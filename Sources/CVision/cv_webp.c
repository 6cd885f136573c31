#include "cv_internal.h"

#include <string.h>

#include <webp/decode.h>

// Chunks of the container, for the orientation; the library reads the rest.
static void read_orientation(const uint8_t *bytes, size_t count, cv_header *header) {
  size_t place = 12;
  while (count - place >= 8) {
    size_t length = cv_le32(bytes + place + 4);
    if (length > count - place - 8) return;
    if (memcmp(bytes + place, "EXIF", 4) == 0) {
      const uint8_t *tiff = bytes + place + 8;
      // Some writers put JPEG's mark before it.
      size_t skipped = length > 6 && memcmp(tiff, "Exif\0\0", 6) == 0 ? 6 : 0;
      header->orientation = cv_exif_orientation(tiff + skipped, length - skipped);
      return;
    }
    place += 8 + length + (length & 1);
    if (place > count) return;
  }
}

int cv_webp_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason) {
  WebPBitstreamFeatures features;
  switch (WebPGetFeatures(bytes, count, &features)) {
  case VP8_STATUS_OK: break;
  case VP8_STATUS_NOT_ENOUGH_DATA: return cv_refuse(reason, "WebP ends early");
  default: return cv_refuse(reason, "WebP is damaged");
  }
  if (features.has_animation) return cv_refuse(reason, "WebP is animated, which is not supported");
  header->width = (uint32_t)features.width;
  header->height = (uint32_t)features.height;
  read_orientation(bytes, count, header);
  return 0;
}

int cv_webp_decode(
    const uint8_t *bytes, size_t count, const cv_header *header, uint8_t *rgb, char *reason) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return cv_refuse(reason, "WebP cannot be decoded here");
  size_t size = (size_t)header->width * header->height * 3;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = rgb;
  config.output.u.RGBA.stride = (int)(header->width * 3);
  config.output.u.RGBA.size = size;
  VP8StatusCode status = WebPDecode(bytes, count, &config);
  WebPFreeDecBuffer(&config.output);
  switch (status) {
  case VP8_STATUS_OK: return 0;
  case VP8_STATUS_NOT_ENOUGH_DATA:
  // What a file cut short ends as, where its container says how long it should be.
  case VP8_STATUS_SUSPENDED: return cv_refuse(reason, "WebP ends early");
  case VP8_STATUS_OUT_OF_MEMORY: return cv_refuse(reason, "WebP takes too much memory to decode");
  case VP8_STATUS_UNSUPPORTED_FEATURE: return cv_refuse(reason, "WebP is of a kind that is not supported");
  default: return cv_refuse(reason, "WebP is damaged");
  }
}
