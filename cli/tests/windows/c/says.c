/* Says its arguments in UTF-8, as a program does that knows nothing of dora. */
#include <stdio.h>
#include <windows.h>
#include <wchar.h>

int wmain(int count, wchar_t **words) {
    char text[256];
    fputs("\xe6\xb8\xa9\xe5\xba\xa6\xef\xbc\x9a", stdout);
    for (int i = 1; i < count; i++) {
        WideCharToMultiByte(CP_UTF8, 0, words[i], -1, text, sizeof text, NULL, NULL);
        printf(i > 1 ? " %s" : "%s", text);
    }
    puts("");
    return 0;
}
