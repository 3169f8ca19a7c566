"""Agents that are apps of Twilio's ConversationRelay: the bridge plays Twilio towards them."""
