/* console EVENT FILE PROGRAM ARGUMENT...: runs the program in a console of its own that has no window, has that event
 * (0 Ctrl-C, 1 Ctrl-Break, 2 the console's closing, 5 log-off, 6 shutdown) told to it as soon as FILE exists, and ends as
 * the program does. From 240 on: why the event was not told. */
#include <windows.h>
#include <wchar.h>

static BOOL WINAPI stay(DWORD event) {
    (void)event;
    return TRUE;
}

/* Wine passes on Ctrl-C only. The others are told as Windows itself does it: by a thread in the program. */
static BOOL tell(const PROCESS_INFORMATION *child, DWORD event) {
    if (event == CTRL_C_EVENT) {
        FreeConsole();
        SetConsoleCtrlHandler(stay, TRUE);
        return AttachConsole(child->dwProcessId) && GenerateConsoleCtrlEvent(event, 0) && FreeConsole();
    }
    void *routine = (void *)GetProcAddress(GetModuleHandleA("kernelbase"), "CtrlRoutine");
    if (!routine) return FALSE;
    return CreateRemoteThread(child->hProcess, NULL, 0, (LPTHREAD_START_ROUTINE)routine, (void *)(size_t)event, 0, NULL) != NULL;
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
    if (!tell(&child, wcstoul(words[1], NULL, 10))) return 243;
    WaitForSingleObject(child.hProcess, INFINITE);
    DWORD code = 245;
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
