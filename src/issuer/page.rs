//! The page where a user types the code of a device and signs in. Plain HTML: it works without scripts and with curl.

use std::fmt::{self, Write as _};

/// What the page says above its form, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    CodeUnknown,
    Incomplete,
    NotInTenant,
    SignedIn,
    WrongPassword,
}

impl Notice {
    const fn text(self) -> &'static str {
        match self {
            Self::CodeUnknown => "This code is unknown, has expired or was used already. Start again on your device.",
            Self::Incomplete => "Fill in code, username and password.",
            Self::NotInTenant => "This user has no account in the tenant that the device asked for.",
            Self::SignedIn => "You have signed in. Go back to your device and close this page.",
            Self::WrongPassword => "Username or password is wrong.",
        }
    }
}

/// The whole page. `user_code` and `username` are put back into the form.
pub(super) fn html(notice: Option<Notice>, user_code: &str, username: &str) -> String {
    let signed_in = notice == Some(Notice::SignedIn);
    let role = if signed_in { "status" } else { "alert" };
    let notice = notice.map(|notice| format!("<p role=\"{role}\">{}</p>\n", notice.text())).unwrap_or_default();
    let form = if signed_in { String::new() } else { form(user_code, username) };
    format!("{HEAD}{notice}{form}{TAIL}")
}

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Sign in a device - Steward demo</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 24rem; padding: 0 1rem; }
label, input, button { display: block; font: inherit; width: 100%; box-sizing: border-box; }
input, button { margin: 0 0 1rem; padding: .5rem; }
</style>
</head>
<body>
<main>
<h1>Sign in a device</h1>
";

const TAIL: &str = "</main>
</body>
</html>
";

fn form(user_code: &str, username: &str) -> String {
    let (user_code, username) = (Escaped(user_code), Escaped(username));
    format!(
        "<form method=\"post\">
<label for=\"user_code\">Code on your device</label>
<input id=\"user_code\" name=\"user_code\" value=\"{user_code}\" autocomplete=\"one-time-code\" autocapitalize=\"characters\" required>
<label for=\"username\">Username</label>
<input id=\"username\" name=\"username\" value=\"{username}\" autocomplete=\"username\" required>
<label for=\"password\">Password</label>
<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>
<button>Sign in</button>
</form>
"
    )
}

/// Text inside an attribute or between tags.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            character => f.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_put_back_as_text() {
        let page = html(Some(Notice::WrongPassword), "ABCD", "\"><script>");
        assert!(page.contains("value=\"ABCD\""));
        assert!(page.contains("value=\"&quot;&gt;&lt;script&gt;\""));
        assert!(page.contains("<p role=\"alert\">Username or password is wrong.</p>"));
    }

    #[test]
    fn after_signing_in_there_is_no_form() {
        let page = html(Some(Notice::SignedIn), "ABCD", "mara");
        assert!(!page.contains("<form"));
        assert!(page.contains("<p role=\"status\">You have signed in."));
    }
}
