//! A helper attribute that `#[cron_group]` did not take off.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Error, Signature, parse::Parser};

/// Nothing for the empty item that `#[cron_group]` leaves the attribute on, an error for everything else.
pub(crate) fn expand(name: &str, args: &TokenStream, item: &TokenStream) -> TokenStream {
    if args.to_string() == "__in_group" {
        return TokenStream::new();
    }
    let problem = format!(
        "`#[{name}]` is for a method of a group; write `#[cron_group(\"name\")]` above the `impl` block of the method"
    );
    let error = Error::new(Span::call_site(), problem).into_compile_error();
    // In an `impl` block the error must itself be a member.
    if has_self(item.clone()) {
        let anchor = format_ident!("__jobs_{name}_outside_of_a_group");
        quote!(#item #[doc(hidden)] const #anchor: () = { #error };)
    } else {
        quote!(#item #error)
    }
}

fn has_self(item: TokenStream) -> bool {
    let signature = |input: syn::parse::ParseStream<'_>| {
        input.call(syn::Attribute::parse_outer)?;
        input.parse::<syn::Visibility>()?;
        let signature: Signature = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok(signature)
    };
    signature.parse2(item).is_ok_and(|signature| signature.receiver().is_some())
}
