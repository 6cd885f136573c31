#ifndef CV_INTERNAL_H
#define CV_INTERNAL_H

#include "CVision.h"

int cv_jpeg_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason);
int cv_jpeg_decode(
    const uint8_t *bytes, size_t count, const cv_header *header, cv_upsampling upsampling, uint8_t *rgb,
    char *reason);
int cv_png_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason);
int cv_png_decode(const uint8_t *bytes, size_t count, const cv_header *header, uint8_t *rgb, char *reason);
int cv_webp_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason);
int cv_webp_decode(const uint8_t *bytes, size_t count, const cv_header *header, uint8_t *rgb, char *reason);

// The orientation in a TIFF directory, as EXIF has it; 1 where it says none or makes no sense.
uint32_t cv_exif_orientation(const uint8_t *tiff, size_t count);

// Writes a clause into `reason`; always -1.
__attribute__((format(printf, 2, 3))) int cv_refuse(char *reason, const char *format, ...);

static inline uint32_t cv_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t cv_be32(const uint8_t *p) { return cv_be16(p) << 16 | cv_be16(p + 2); }
static inline uint32_t cv_le16(const uint8_t *p) { return (uint32_t)p[1] << 8 | p[0]; }
static inline uint32_t cv_le32(const uint8_t *p) { return cv_le16(p + 2) << 16 | cv_le16(p); }

#endif
