// Lets a binary made on a new distribution run on GLIBC 2.28 (`node native/build.mjs check`). Definitions here are hidden, so that they serve this
// library and the libstdc++ and libgcc linked into it, and nobody else.
// Only for the addon: the native tests and fuzzers are built without NAPI_VERSION and use what the machine has.
#include <features.h>
#if defined(NAPI_VERSION) && defined(__GLIBC__)

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLUICE_HIDDEN __attribute__((visibility("hidden"), used))

extern "C" {

// GLIBC 2.32. Read by libstdc++'s reference counts; a Node process always has threads.
SLUICE_HIDDEN char __libc_single_threaded = 0;

// GLIBC 2.35, used by libgcc's unwinder. The addon is built without exceptions: one that libstdc++ throws (out of memory) has no handler to find,
// and "not found" leads to std::terminate as it should.
SLUICE_HIDDEN int _dl_find_object(void*, void*);
int _dl_find_object(void*, void*) { return -1; }

// GLIBC 2.33 made these real functions; before, they were inline calls of __xstat. On 64-bit Linux the kernel's struct stat is GLIBC's.
SLUICE_HIDDEN int stat(const char* path, struct stat* result) noexcept { return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, 0)); }
SLUICE_HIDDEN int lstat(const char* path, struct stat* result) noexcept {
  return static_cast<int>(syscall(SYS_newfstatat, AT_FDCWD, path, result, AT_SYMLINK_NOFOLLOW));
}
SLUICE_HIDDEN int fstat(int fd, struct stat* result) noexcept { return static_cast<int>(syscall(SYS_fstat, fd, result)); }

// GLIBC 2.34 moved these from libpthread and gave them a new version; the one of the first release is still there.
#if defined(__x86_64__)
#define SLUICE_FIRST_GLIBC "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define SLUICE_FIRST_GLIBC "GLIBC_2.17"
#else
#error "native/glibc_compat.cc: name the first GLIBC of this architecture"
#endif
int sluice_first_pthread_once(pthread_once_t*, void (*)()) noexcept;
int sluice_first_pthread_key_create(pthread_key_t*, void (*)(void*)) noexcept;
__asm__(".symver sluice_first_pthread_once, pthread_once@" SLUICE_FIRST_GLIBC);
__asm__(".symver sluice_first_pthread_key_create, __pthread_key_create@" SLUICE_FIRST_GLIBC);
SLUICE_HIDDEN int pthread_once(pthread_once_t* once, void (*routine)()) { return sluice_first_pthread_once(once, routine); }
SLUICE_HIDDEN int __pthread_key_create(pthread_key_t* key, void (*destructor)(void*)) noexcept {
  return sluice_first_pthread_key_create(key, destructor);
}

}  // extern "C"

#endif
