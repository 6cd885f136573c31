#include "cv_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

// What the library may take for one chunk that is not pixels.
static const png_alloc_size_t most_chunk_memory = 8 << 20;

// Chunks up to the first pixels, for the size, and the orientation wherever it is said before them.
int cv_png_header(const uint8_t *bytes, size_t count, cv_header *header, char *reason) {
  size_t place = 8;
  int is_first = 1;
  while (count - place >= 8) {
    size_t length = cv_be32(bytes + place);
    const uint8_t *name = bytes + place + 4;
    const uint8_t *content = bytes + place + 8;
    if (is_first) {
      if (length != 13 || memcmp(name, "IHDR", 4) != 0) {
        return cv_refuse(reason, "PNG is damaged: it does not start with its header");
      }
      if (count - place < 8 + 13) break;
      header->width = cv_be32(content);
      header->height = cv_be32(content + 4);
      is_first = 0;
    }
    if (memcmp(name, "IDAT", 4) == 0) return 0;
    // Length, name and checksum beside the content.
    if (length > count - place - 8 || count - place - 8 - length < 4) break;
    if (memcmp(name, "eXIf", 4) == 0) header->orientation = cv_exif_orientation(content, length);
    place += 12 + length;
  }
  return cv_refuse(reason, "PNG ends early");
}

typedef struct {
  const uint8_t *bytes;
  size_t left;
  jmp_buf back;
  char *reason;
} source;

_Noreturn static void on_error(png_structp png, png_const_charp message) {
  source *own = png_get_error_ptr(png);
  cv_refuse(own->reason, "PNG is damaged: %.120s", message);
  longjmp(own->back, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void read_bytes(png_structp png, png_bytep target, size_t count) {
  source *own = png_get_io_ptr(png);
  if (count > own->left) {
    cv_refuse(own->reason, "PNG ends early");
    longjmp(own->back, 1);
  }
  memcpy(target, own->bytes, count);
  own->bytes += count;
  own->left -= count;
}

// Chunks that make no pixels are not even unpacked: some hold compressed text or profiles.
static void ignore_the_rest(png_structp png) {
  static const png_byte names[] =
      "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0"
      "tEXt\0tIME\0zTXt\0tRNS";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

int cv_png_decode(
    const uint8_t *bytes, size_t count, const cv_header *header, uint8_t *rgb, char *reason) {
  source own = {.bytes = bytes, .left = count, .reason = reason};
  png_structp volatile png = NULL;
  png_infop volatile info = NULL;
  png_bytep *volatile rows = NULL;
  if (setjmp(own.back)) {
    png_structp dead_png = png;
    png_infop dead_info = info;
    if (dead_png != NULL) png_destroy_read_struct(&dead_png, &dead_info, NULL);
    free(rows);
    return -1;
  }
  png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &own, on_error, on_warning);
  if (png != NULL) info = png_create_info_struct(png);
  rows = malloc(sizeof(png_bytep) * header->height);
  if (png == NULL || info == NULL || rows == NULL) {
    cv_refuse(reason, "PNG takes too much memory to decode");
    longjmp(own.back, 1);
  }
  png_set_read_fn(png, &own, read_bytes);
  png_set_user_limits(png, header->width, header->height);
  png_set_chunk_malloc_max(png, most_chunk_memory);
  ignore_the_rest(png);
  png_read_info(png, info);
  if (png_get_image_width(png, info) != header->width
      || png_get_image_height(png, info) != header->height) {
    cv_refuse(reason, "PNG is damaged: it has two sizes");
    longjmp(own.back, 1);
  }
  int type = png_get_color_type(png, info);
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (!(type & PNG_COLOR_MASK_COLOR)) {
    if (png_get_bit_depth(png, info) < 8) png_set_expand_gray_1_2_4_to_8(png);
    png_set_gray_to_rgb(png);
  }
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != (size_t)header->width * 3) {
    cv_refuse(reason, "PNG of colour type %d is not supported", type);
    longjmp(own.back, 1);
  }
  for (uint32_t y = 0; y < header->height; y++) rows[y] = rgb + (size_t)y * header->width * 3;
  png_read_image(png, rows);
  png_read_end(png, NULL);
  png_structp done_png = png;
  png_infop done_info = info;
  png_destroy_read_struct(&done_png, &done_info, NULL);
  free(rows);
  return 0;
}
