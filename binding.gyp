{
  # `npm install` on a machine without a prebuild comes here (native/build.mjs). Sources are listed as for CMakeLists.txt.
  'targets': [
    {
      'target_name': 'sluice',
      'sources': ['<!@(node native/sources.mjs addon)'],
      'include_dirs': ['<!@(node native/headers.mjs)'],
      'defines': ['NAPI_VERSION=9', 'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS'],
      'cflags_cc!': ['-std=gnu++17', '-fno-rtti'],
      'cflags_cc': ['-std=c++20', '-O3', '-Wall', '-Wextra', '-Wno-unused-parameter', '-fno-exceptions', '-fvisibility=hidden', '-ffunction-sections', '-fdata-sections'],
      'ldflags': ['-static-libstdc++', '-static-libgcc', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'],
    },
  ],
}
