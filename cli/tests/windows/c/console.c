/* console EVENT FILE PROGRAM ARGUMENT...: runs the program in a console of its own that has no window, sends that console
 * Ctrl-C (EVENT `c`) or Ctrl-Break (`break`) as soon as FILE exists, and ends as the program does. From 240 on: why the
 * event was not sent. */
#include <windows.h>
#include <wchar.h>

static BOOL WINAPI stay(DWORD event) {
    (void)event;
    return TRUE;
}

int wmain(int count, wchar_t **words) {
    static wchar_t line[32768];
    if (count < 4) return 240;
    for (int i = 3; i < count; i++) {
        if (wcslen(line) + wcslen(words[i]) + 4 > sizeof line / sizeof *line) return 240;
        wcscat(wcscat(wcscat(line, L"\""), words[i]), L"\" ");
    }
    STARTUPINFOW start = {
        .cb = sizeof start,
        .dwFlags = STARTF_USESTDHANDLES,
        .hStdInput = GetStdHandle(STD_INPUT_HANDLE),
        .hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE),
        .hStdError = GetStdHandle(STD_ERROR_HANDLE),
    };
    PROCESS_INFORMATION child;
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, NULL, &start, &child)) return 241;
    while (GetFileAttributesW(words[2]) == INVALID_FILE_ATTRIBUTES) {
        if (WaitForSingleObject(child.hProcess, 20) != WAIT_TIMEOUT) return 242;
    }
    FreeConsole();
    if (!AttachConsole(child.dwProcessId)) return 243;
    SetConsoleCtrlHandler(stay, TRUE);
    DWORD event = wcscmp(words[1], L"c") == 0 ? CTRL_C_EVENT : CTRL_BREAK_EVENT;
    if (!GenerateConsoleCtrlEvent(event, 0)) return 244;
    FreeConsole();
    WaitForSingleObject(child.hProcess, INFINITE);
    DWORD code = 245;
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
