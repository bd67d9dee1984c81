//! `completions` and `man`: what a shell and `man` want to know, from the definitions of the arguments.

use clap::Args;

use crate::cli::session::Session;
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ManArgs {}

impl Session<'_> {
    pub(super) fn completions(&self, args: &CompletionsArgs) -> Result<u8> {
        let mut bytes = Vec::new();
        clap_complete::generate(args.shell, &mut (self.definition)("backstop"), "backstop", &mut bytes);
        Ok(self.file(&bytes))
    }

    pub(super) fn man(&self, _: &ManArgs) -> Result<u8> {
        let mut bytes = Vec::new();
        let pages = render_man((self.definition)("backstop"), &mut bytes);
        pages.map_err(|e| Error::new(ErrorKind::Io, "failed to write the man page").with_source(e))?;
        Ok(self.file(&bytes))
    }

    fn file(&self, bytes: &[u8]) -> u8 {
        let text = String::from_utf8_lossy(bytes);
        self.tell(exit::DONE, &render::TextReport { text: &text }, |_| text.to_string())
    }
}

/// One page for all: the options of each command stand behind those of the whole.
fn render_man(mut command: clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    command.build();
    let commands: Vec<clap::Command> =
        command.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
    let page = clap_mangen::Man::new(command);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    page.render_extra_section(out)?;
    for command in commands {
        let name = command.get_name().to_uppercase();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        // Those of every command stand above already.
        let hidden: Vec<clap::Id> =
            command.get_arguments().filter(|a| a.is_global_set()).map(|a| a.get_id().clone()).collect();
        let command = hidden.into_iter().fold(command, |c, id| c.mut_arg(id, |a| a.hide(true)));
        out.extend(format!(".SH {name}\n{about}\n").bytes());
        let page = clap_mangen::Man::new(command);
        let mut part = Vec::new();
        page.render_synopsis_section(&mut part)?;
        page.render_options_section(&mut part)?;
        out.extend(String::from_utf8_lossy(&part).replace(".SH ", ".SS ").bytes());
    }
    Ok(())
}
