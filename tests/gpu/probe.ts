/**
 * A program that says which GPUs CUDA shows it, one UUID a line, and nothing else of CUDA than the driver's own library: that is on
 * every machine with a GPU. It is compiled there.
 */
export const PROBE_SOURCE = `
#include <dlfcn.h>
#include <stdio.h>

static const char *places[] = {"libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", 0};

int main(void) {
  void *cuda = 0;
  for (int at = 0; places[at] && !cuda; at++) cuda = dlopen(places[at], RTLD_NOW);
  if (!cuda) return printf("no libcuda: %s\\n", dlerror()), 2;
  int (*init)(unsigned) = (int (*)(unsigned))dlsym(cuda, "cuInit");
  int (*count)(int *) = (int (*)(int *))dlsym(cuda, "cuDeviceGetCount");
  int (*get)(int *, int) = (int (*)(int *, int))dlsym(cuda, "cuDeviceGet");
  int (*name)(unsigned char *, int) = (int (*)(unsigned char *, int))dlsym(cuda, "cuDeviceGetUuid_v2");
  int result = init(0), devices = 0;
  printf("cuInit %d\\n", result);
  if (result == 0) count(&devices);
  printf("devices %d\\n", devices);
  for (int at = 0; at < devices; at++) {
    unsigned char id[16];
    int device;
    if (get(&device, at) || name(id, device)) return 3;
    printf("uuid ");
    for (int byte = 0; byte < 16; byte++) printf(byte == 4 || byte == 6 || byte == 8 || byte == 10 ? "-%02x" : "%02x", id[byte]);
    printf("\\n");
  }
  return 0;
}
`;
