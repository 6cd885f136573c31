#include "cv_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

// What the library may take beside the pixels: a progressive image keeps all its coefficients.
static const long most_memory = 512L << 20;
// Each scan of a progressive image goes over all of it again.
static const int most_scans = 100;
// Bytes between two markers that belong to nothing; cameras leave a few.
static const int most_stray_bytes = 64;

typedef struct {
  struct jpeg_error_mgr manager;  // First: the library hands out its address.
  jmp_buf back;
  char *reason;
  int is_in_scan;
} errors;

_Noreturn static void on_error(j_common_ptr info) {
  errors *own = (errors *)info->err;
  char text[JMSG_LENGTH_MAX];
  info->err->format_message(info, text);
  switch (info->err->msg_code) {
  case JERR_OUT_OF_MEMORY:
  case JERR_NO_BACKING_STORE: cv_refuse(own->reason, "JPEG takes too much memory to decode"); break;
  default: cv_refuse(own->reason, "JPEG is damaged: %.120s", text);
  }
  longjmp(own->back, 1);
}

// Damage that the library would paper over with grey is an error here.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  errors *own = (errors *)info->err;
  switch (info->err->msg_code) {
  case JWRN_JPEG_EOF:
    cv_refuse(own->reason, "JPEG ends early");
    longjmp(own->back, 1);
  case JWRN_EXTRANEOUS_DATA:
    if (!own->is_in_scan || info->err->msg_parm.i[0] <= most_stray_bytes) return;
    break;
  // Oddities of writers that leave all pixels whole.
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
  case JWRN_NOT_SEQUENTIAL:
  case JWRN_TOO_MUCH_DATA: return;
  default: break;
  }
  on_error(info);
}

static void say_nothing(j_common_ptr info) { (void)info; }

static void on_progress(j_common_ptr info) {
  struct jpeg_decompress_struct *decoder = (struct jpeg_decompress_struct *)info;
  if (decoder->input_scan_number <= most_scans) return;
  errors *own = (errors *)info->err;
  cv_refuse(own->reason, "JPEG has more than %d scans", most_scans);
  longjmp(own->back, 1);
}

static void prepare(errors *own, char *reason) {
  jpeg_std_error(&own->manager);
  own->manager.error_exit = on_error;
  own->manager.emit_message = on_message;
  own->manager.output_message = say_nothing;
  own->reason = reason;
  own->is_in_scan = 0;
}

// Markers up to the first scan, read here: the library would keep them all in memory to show one.
int cv_jpeg_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason) {
  size_t place = 2;
  int has_frame = 0;
  while (1) {
    while (place < count && bytes[place] != 0xff) place++;
    while (place < count && bytes[place] == 0xff) place++;
    if (place >= count) return cv_refuse(reason, "JPEG ends early");
    uint8_t marker = bytes[place++];
    if (marker == 0xd9) return cv_refuse(reason, "JPEG has no image");
    if (marker == 0 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) continue;
    if (count - place < 2) return cv_refuse(reason, "JPEG ends early");
    size_t length = cv_be16(bytes + place);
    if (length < 2) return cv_refuse(reason, "JPEG is damaged: a segment of %zu bytes", length);
    if (length > count - place) return cv_refuse(reason, "JPEG ends early");
    const uint8_t *segment = bytes + place + 2;
    size_t size = length - 2;
    // SOF0 to SOF15, without DHT, JPG and DAC, which lie among them.
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) {
      if (size < 6) return cv_refuse(reason, "JPEG is damaged: a frame of %zu bytes", size);
      header->height = cv_be16(segment + 1);
      header->width = cv_be16(segment + 3);
      has_frame = 1;
    } else if (marker == 0xe1 && size > 6 && memcmp(segment, "Exif\0\0", 6) == 0) {
      header->orientation = cv_exif_orientation(segment + 6, size - 6);
    } else if (marker == 0xda) {
      return has_frame ? 0 : cv_refuse(reason, "JPEG is damaged: a scan before its frame");
    }
    place += length;
  }
}

static uint8_t scaled(uint32_t a, uint32_t b) {
  uint32_t product = a * b + 128;
  return (uint8_t)((product + (product >> 8)) >> 8);
}

// From inverted CMYK, in steps of 8 bits as Pillow's Convert.c (cmyk2rgb) takes them.
static void mix(const uint8_t *cmyk, uint32_t width, uint8_t *rgb) {
  for (uint32_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
    uint32_t light = cmyk[3];
    for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(light - scaled(255u - cmyk[c], light));
  }
}

// Reads the header and refuses what is not decoded.
static void begin(struct jpeg_decompress_struct *decoder, const uint8_t *bytes, size_t count, const cv_header *header) {
  errors *own = (errors *)decoder->err;
  jpeg_mem_src(decoder, bytes, count);
  jpeg_read_header(decoder, TRUE);
  if (decoder->image_width != header->width || decoder->image_height != header->height) {
    cv_refuse(own->reason, "JPEG is damaged: it has two sizes");
    longjmp(own->back, 1);
  }
  if (decoder->num_components != 1 && decoder->num_components != 3 && decoder->num_components != 4) {
    cv_refuse(own->reason, "JPEG of %d colour components is not supported", decoder->num_components);
    longjmp(own->back, 1);
  }
}

static void *taken(errors *own, size_t size) {
  void *memory = malloc(size);
  if (memory != NULL) return memory;
  cv_refuse(own->reason, "JPEG takes too much memory to decode");
  longjmp(own->back, 1);
}

// Whether colour has half the lightness's width and height.
static int is_halved(const struct jpeg_decompress_struct *decoder) {
  const jpeg_component_info *part = decoder->comp_info;
  if (decoder->num_components != 3 || decoder->jpeg_color_space != JCS_YCbCr) return 0;
  if (part[0].h_samp_factor != 2 || part[0].v_samp_factor != 2) return 0;
  for (int c = 1; c < 3; c++) {
    if (part[c].h_samp_factor != 1 || part[c].v_samp_factor != 1) return 0;
  }
  return 1;
}

static uint8_t clipped(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

// ITU-R BT.601, rounded as libjpeg's jdcolor.c does.
static void colour(const uint8_t *blue_parts, const uint8_t *red_parts, uint32_t width, uint8_t *rgb) {
  for (uint32_t x = 0; x < width; x++, rgb += 3) {
    int32_t y = rgb[0], cb = blue_parts[x] - 128, cr = red_parts[x] - 128;
    rgb[0] = clipped(y + ((91881 * cr + 32768) >> 16));
    rgb[1] = clipped(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
    rgb[2] = clipped(y + ((116130 * cb + 32768) >> 16));
  }
}

// The planes of colour at twice their size, each block by an inverse transform of 16 x 16: read as raw data of
// an image twice as large. `rgb` holds the lightness in each first value.
static void read_colour(
    struct jpeg_decompress_struct *decoder, const cv_header *header, uint8_t *lines, uint8_t *rgb) {
  enum { SIDE = 2 * DCTSIZE };
  JSAMPROW rows[3][2 * SIDE];
  JSAMPARRAY planes[3] = {rows[0], rows[1], rows[2]};
  size_t width = (size_t)decoder->comp_info[0].width_in_blocks * SIDE;
  size_t part = (size_t)decoder->comp_info[1].width_in_blocks * SIDE;
  // Lightness is not looked at: all its rows share memory.
  for (int i = 0; i < 2 * SIDE; i++) rows[0][i] = lines;
  for (int c = 1; c < 3; c++) {
    for (int i = 0; i < SIDE; i++) rows[c][i] = lines + width + ((size_t)(c - 1) * SIDE + (size_t)i) * part;
  }
  for (uint32_t top = 0; top < header->height; top += SIDE) {
    jpeg_read_raw_data(decoder, planes, 2 * SIDE);
    for (uint32_t i = 0; i < SIDE && top + i < header->height; i++) {
      colour(rows[1][i], rows[2][i], header->width, rgb + (size_t)(top + i) * header->width * 3);
    }
  }
}

int cv_jpeg_decode(
    const uint8_t *bytes, size_t count, const cv_header *header, cv_upsampling upsampling, uint8_t *rgb,
    char *reason) {
  struct jpeg_decompress_struct decoder;
  struct jpeg_progress_mgr progress;
  errors own;
  uint8_t *volatile row = NULL;
  prepare(&own, reason);
  memset(&decoder, 0, sizeof decoder);
  decoder.err = &own.manager;
  if (setjmp(own.back)) {
    jpeg_destroy_decompress(&decoder);
    free(row);
    return -1;
  }
  jpeg_create_decompress(&decoder);
  decoder.mem->max_memory_to_use = most_memory;
  memset(&progress, 0, sizeof progress);
  progress.progress_monitor = on_progress;
  decoder.progress = &progress;
  begin(&decoder, bytes, count, header);
  int is_mixed = decoder.num_components == 4;
  int is_transformed = upsampling == CV_UPSAMPLE_DCT && is_halved(&decoder);
  decoder.out_color_space = is_mixed ? JCS_CMYK : is_transformed ? JCS_GRAYSCALE : JCS_RGB;
  own.is_in_scan = 1;
  jpeg_start_decompress(&decoder);
  if (is_mixed || is_transformed) row = taken(&own, (size_t)decoder.output_width * 4);
  while (decoder.output_scanline < decoder.output_height) {
    uint8_t *line = rgb + (size_t)decoder.output_scanline * header->width * 3;
    JSAMPROW target = is_mixed || is_transformed ? row : line;
    jpeg_read_scanlines(&decoder, &target, 1);
    if (is_mixed) mix(row, header->width, line);
    if (is_transformed) {
      for (uint32_t x = 0; x < header->width; x++) line[x * 3] = row[x];
    }
  }
  // Reads on to the end of the image, so that what is cut off there is missed.
  jpeg_finish_decompress(&decoder);
  if (is_transformed) {
    free(row);
    row = NULL;
    own.is_in_scan = 0;
    begin(&decoder, bytes, count, header);
    decoder.scale_num = 2 * DCTSIZE;
    decoder.scale_denom = DCTSIZE;
    decoder.raw_data_out = TRUE;
    own.is_in_scan = 1;
    jpeg_start_decompress(&decoder);
    row = taken(
        &own, ((size_t)decoder.comp_info[0].width_in_blocks
               + 2 * 2 * DCTSIZE * (size_t)decoder.comp_info[1].width_in_blocks) * 2 * DCTSIZE);
    read_colour(&decoder, header, row, rgb);
    jpeg_finish_decompress(&decoder);
  }
  jpeg_destroy_decompress(&decoder);
  free(row);
  return 0;
}

size_t cv_encode_jpeg(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels, int quality,
    uint8_t *out, size_t capacity) {
  if (width == 0 || height == 0 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION) return 0;
  struct jpeg_compress_struct encoder;
  errors own;
  char reason[CV_REASON_SIZE];
  unsigned char *made = NULL;
  unsigned long size = 0;
  prepare(&own, reason);
  memset(&encoder, 0, sizeof encoder);
  encoder.err = &own.manager;
  if (setjmp(own.back)) {
    jpeg_destroy_compress(&encoder);
    return 0;
  }
  jpeg_create_compress(&encoder);
  jpeg_mem_dest(&encoder, &made, &size);
  encoder.image_width = width;
  encoder.image_height = height;
  encoder.input_components = (int)channels;
  encoder.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, quality, TRUE);
  jpeg_start_compress(&encoder, TRUE);
  while (encoder.next_scanline < encoder.image_height) {
    JSAMPROW line = (JSAMPROW)(pixels + (size_t)encoder.next_scanline * width * channels);
    jpeg_write_scanlines(&encoder, &line, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  size_t written = size <= capacity ? size : 0;
  if (written > 0) memcpy(out, made, written);
  free(made);
  return written;
}
